"""What can go wrong in a lab, and how it is put right again: one small module per kind, one table (`registry`)."""
