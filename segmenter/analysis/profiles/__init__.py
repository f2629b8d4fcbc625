"""What sets the users of a segment apart from others, in numbers and in words, from what SQL has counted."""
