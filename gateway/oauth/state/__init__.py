"""What the authorization server keeps: clients, families, codes, consents, requests that wait."""
