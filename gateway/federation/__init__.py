"""What others say of people: their addresses, their keys, and the tokens that these sign."""
