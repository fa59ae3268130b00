"""JupyterLab behind the gateway: whoever reaches this port may run programs, so only this machine may."""

c = get_config()  # noqa: F821 - Jupyter gives it
c.ServerApp.ip = "127.0.0.1"
c.ServerApp.port = 8888
c.ServerApp.port_retries = 0
c.ServerApp.open_browser = False
c.ServerApp.root_dir = "/srv/notebooks"
# It is asked for as lab.localhost, which is not its own address. The gateway has made sure of the name.
c.ServerApp.allow_remote_access = True
# The gateway asks who it is.
c.IdentityProvider.token = ""
c.PasswordIdentityProvider.password_required = False
