"""Letters to people: written in their language, kept until the mail server has them."""
