"""What people do by links in their mail: confirm an address, get back in, change the address, accept an invitation."""
