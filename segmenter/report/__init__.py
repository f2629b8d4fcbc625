"""The report of a snapshot: charts, and the page that holds them. It draws plain data, and knows no database."""
