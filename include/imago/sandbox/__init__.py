"""A Slack workspace on this machine: speaks the parts of Slack's API that Imago calls, and shows the messages on a
page."""
