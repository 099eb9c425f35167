"""Third floor: HTTP. `app` puts everything together, `routes` shows every URL on one screen."""
