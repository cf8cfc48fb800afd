"""Which kind of channel an address is, by the environment's settings."""

from __future__ import annotations

from imago.alerts.channels import Channel, Patience
from imago.alerts.mail import Mail, Server
from imago.alerts.slack import Slack, Webhook
from imago.environments import Environment, is_mail
from imago.errors import DeliveryError


def channel_at(env: Environment, address: str, patience: Patience | None = None) -> Channel:
    """The channel of an address of `env.addresses`. Raises DeliveryError when a setting for it is missing."""
    prefix = f"IMAGO_{env.name.upper()}_"
    if is_mail(address):
        return Mail(to=address, server=mail_server(env), patience=patience)
    if env.slack_token is not None:
        return Slack(channel=address, token=env.slack_token, base_url=env.slack_base_url, patience=patience)
    if env.slack_webhook is None:
        raise DeliveryError(
            f"no Slack token for {env.name}",
            environment=env.name,
            next_step=f"set {prefix}SLACK_TOKEN (a bot's token) or {prefix}SLACK_WEBHOOK; alerts wait until then",
        )
    if address != env.alert_channel:
        raise DeliveryError(
            f"a webhook writes to its own channel, and cannot reach {address}",
            environment=env.name,
            allowed=env.alert_channel,
            seen=address,
            next_step=f"set {prefix}SLACK_TOKEN, or take {address} out of {prefix}ALERT_ROUTES",
        )
    return Webhook(url=env.slack_webhook, patience=patience)


def kind_of(env: Environment, address: str) -> str:
    """How an address is told, in words."""
    if is_mail(address):
        return "e-mail"
    return "Slack" if env.slack_token else "Slack webhook" if env.slack_webhook else "nothing yet"


def mail_server(env: Environment) -> Server:
    """The mail server of the settings."""
    if env.smtp_host is None or env.smtp_from is None:
        raise DeliveryError(
            f"no mail server for {env.name}",
            environment=env.name,
            next_step=f"set IMAGO_{env.name.upper()}_SMTP_HOST and IMAGO_{env.name.upper()}_SMTP_FROM",
        )
    return Server(
        host=env.smtp_host,
        port=env.smtp_port,
        sender=env.smtp_from,
        user=env.smtp_user,
        password=env.smtp_password,
        security=env.smtp_security,
    )
