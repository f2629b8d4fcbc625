"""What is known of users beside their events: loading it from files."""
