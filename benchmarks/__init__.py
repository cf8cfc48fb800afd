"""What Imago costs beside what one would run instead."""
