"""Who a credential stands for, remembered and revoked."""
