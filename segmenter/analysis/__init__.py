"""What is made of a snapshot beside the live model: other clusterings of its users, and recommendations for them."""
