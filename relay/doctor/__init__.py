"""What stands in the way of a site: `run.examine` looks, `report` prints. It changes nothing anywhere."""
