"""relay.assets."""

from relay.assets import find_assets


def test_static_files_are_found_where_the_package_runs_from() -> None:
    assert (find_assets("static") / "css" / "console.css").is_file()


def test_templates_are_found_where_the_package_runs_from() -> None:
    assert (find_assets("templates") / "console" / "page.html").is_file()
