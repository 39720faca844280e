"""What survives: tables, migrations, repositories. One database file, one writer."""
