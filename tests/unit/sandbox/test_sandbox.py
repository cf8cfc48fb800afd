"""The sandbox as slack-sdk and a browser use it."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from imago.alerts.mrkdwn import blocks_to_html, to_html
from imago.sandbox.limits import RateLimit
from imago.sandbox.server import create_app


@pytest.fixture
def app(tmp_path):
    return create_app(folder=tmp_path, token="xoxb-t", posts=RateLimit(per_second=1.0, burst=2, clock=lambda: 0.0))


@pytest.fixture
def client(app):
    return TestClient(app, headers={"Authorization": "Bearer xoxb-t"})


def post(client, **values):
    return client.post("/api/chat.postMessage", json={"channel": "#imago-dev", "text": "hello", **values})


def test_a_posted_message_is_kept_and_shown(client):
    answer = post(client).json()
    assert answer["ok"]
    assert answer["channel"].startswith("C")
    (message,) = client.get("/api-sandbox/messages", params={"channel": "#imago-dev"}).json()["messages"]
    assert (message["text"], message["ts"]) == ("hello", answer["ts"])
    state = client.get("/api-sandbox/state").json()
    assert [channel["name"] for channel in state["channels"]] == ["imago-dev"]
    assert client.get("/api-sandbox/state", params={"version": state["version"]}).json() == {
        "version": state["version"]
    }


def test_a_thread_and_an_update(client):
    first = post(client).json()
    assert post(client, thread_ts=first["ts"], text="more").json()["ok"]
    assert post(client, channel="#another", thread_ts="1.0").json()["ok"] is False
    update = {"channel": first["channel"], "ts": first["ts"], "text": "better"}
    assert client.post("/api/chat.update", json=update).json()["ok"]
    assert client.post("/api/chat.update", json={**update, "ts": "1.0"}).json()["error"] == "message_not_found"
    head, reply = client.get("/api-sandbox/messages").json()["messages"]
    assert (head["text"], head["edited_ts"] is not None, reply["thread_ts"]) == ("better", True, first["ts"])


def test_a_channel_takes_a_burst_and_then_says_when_to_come_back(client):
    assert [post(client).status_code for _ in range(3)] == [200, 200, 429]
    refused = post(client)
    assert (refused.headers["Retry-After"], refused.json()["error"]) == ("1", "ratelimited")
    assert post(client, channel="#another").status_code == 200


@pytest.mark.parametrize(("header", "error"), [({"Authorization": "Bearer x"}, "invalid_auth"), ({}, "not_authed")])
def test_a_wrong_token_is_refused(app, header, error):
    assert TestClient(app, headers=header).post("/api/auth.test").json() == {"ok": False, "error": error}


def test_a_token_of_one_channel_cannot_write_to_another(tmp_path):
    app = create_app(folder=tmp_path, token={"dev-token": "#imago-dev", "prod-token": "#imago-prod"})
    dev = TestClient(app, headers={"Authorization": "Bearer dev-token"})
    prod = TestClient(app, headers={"Authorization": "Bearer prod-token"})
    assert post(dev, channel="#imago-dev").json()["ok"]
    assert post(dev, channel="#imago-prod").json()["error"] == "channel_not_found"
    sent = post(prod, channel="#imago-prod").json()
    assert post(dev, channel="#imago-prod").json()["error"] == "not_in_channel"
    change = {"channel": sent["channel"], "ts": sent["ts"], "text": "changed"}
    assert dev.post("/api/chat.update", json=change).json()["error"] == "not_in_channel"


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"text": ""}, "no_text"),
        ({"channel": "#Not A Name"}, "channel_not_found"),
        ({"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}]}, "invalid_blocks"),
        ({"blocks": [{"type": "section"}]}, "invalid_blocks"),
        ({"blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
        ({"text": "x" * 40_001}, "msg_too_long"),
    ],
)
def test_what_slack_refuses_is_refused(client, values, error):
    assert post(client, **values).json()["error"] == error


def test_messages_survive_a_restart(tmp_path):
    for text in ("one", "two"):
        with TestClient(create_app(folder=tmp_path, token="t"), headers={"Authorization": "Bearer t"}) as client:
            post(client, text=text)
            kept = client.get("/api-sandbox/messages").json()["messages"]
    assert [message["text"] for message in kept] == ["one", "two"]


def test_the_sdk_finds_its_calls(tmp_path):
    import threading
    import time

    import uvicorn
    from slack_sdk import WebClient

    server = uvicorn.Server(uvicorn.Config(create_app(folder=tmp_path, token="t"), port=0, log_level="error"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    slack = WebClient(token="t", base_url=f"http://127.0.0.1:{port}/api/")
    slack.proxy = None
    assert slack.auth_test()["team"] == "Imago sandbox"
    posted = slack.chat_postMessage(channel="#imago-dev", text="hi", blocks=[{"type": "divider"}])
    slack.chat_update(channel=posted["channel"], ts=posted["ts"], text="ho")
    assert [channel["name"] for channel in slack.conversations_list()["channels"]] == ["imago-dev"]
    server.should_exit = True


def test_a_page_asked_for_under_a_foreign_name_is_refused(app):
    assert TestClient(app, base_url="http://evil.example").get("/").status_code == 400
    page = TestClient(app).get("/")
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]


def test_a_runbook_is_served_and_nothing_else_of_the_disk(tmp_path):
    (tmp_path / "runbooks").mkdir()
    (tmp_path / "runbooks" / "drift.md").write_text("# Drift\n\n<script>x</script>", encoding="utf-8")
    (tmp_path / "secret.md").write_text("no", encoding="utf-8")
    client = TestClient(create_app(folder=tmp_path / "data", token="t", docs=tmp_path))
    page = client.get("/docs/runbooks/drift.md").text
    assert "<h1>Drift</h1>" in page
    assert "<script>x" not in page
    assert client.get("/docs/runbooks/..%2Fsecret.md").status_code == 404
    assert client.get("/docs/runbooks/volume.md").status_code == 404


@pytest.mark.parametrize(
    ("given", "drawn"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("&lt;b&gt; &amp; co", "&lt;b&gt; &amp; co"),
        ("<javascript:alert(1)|x>", "&lt;javascript:alert(1)|x&gt;"),
        ("*bold* _it_ ~gone~ `a*b*`", "<b>bold</b> <i>it</i> <s>gone</s> <code>a*b*</code>"),
        ("flight_delays_m 2*3*4", "flight_delays_m 2*3*4"),
        ("<@U1>", '<span class="mention">@U1</span>'),
        ("<!channel>", '<span class="mention loud">@channel</span>'),
        ("a\nb", "a<br>b"),
    ],
)
def test_markup_is_drawn_and_everything_else_is_escaped(given, drawn):
    assert to_html(given) == drawn


def test_no_address_and_no_code_can_leave_its_attribute():
    drawn = to_html('<http://x`" onmouseover=y`|`z`> :red_circle:')
    assert 'onmouseover=y"' not in drawn
    assert '" onmouseover' not in drawn


def test_a_block_that_is_not_drawn_says_so():
    assert "a block of type &lt;b&gt;" in blocks_to_html([{"type": "<b>"}], "t")


PNG = b"\x89PNG\r\n\x1a\n and so on"


def upload(client, content: bytes = PNG, length: int | None = None) -> str:
    asked = {"filename": "a.png", "length": str(len(content) if length is None else length)}
    place = client.get("/api/files.getUploadURLExternal", params=asked).json()
    path = place["upload_url"].split("/api/", 1)[1]
    client.post(f"/api/{path}", content=content)
    return place["file_id"]


def test_a_picture_is_uploaded_in_three_steps_and_then_shown(client):
    file_id = upload(client)
    image = {"type": "image", "slack_file": {"id": file_id}, "alt_text": "a picture"}
    assert post(client, blocks=[image]).json()["error"] == "invalid_blocks"  # not complete yet
    done = client.post("/api/files.completeUploadExternal", json={"files": [{"id": file_id, "title": "t"}]})
    assert done.json()["ok"]
    assert post(client, blocks=[image]).json()["ok"]
    shown = client.get(f"/files/{file_id}")
    assert (shown.content, shown.headers["content-type"]) == (PNG, "image/png")
    assert blocks_to_html([image], "") == (f'<div class="picture"><img src="files/{file_id}" alt="a picture"></div>')


@pytest.mark.parametrize(("content", "length"), [(b"<svg onload=x>", None), (PNG, 3)])
def test_what_is_no_picture_or_not_what_was_announced_is_not_kept(client, content, length):
    file_id = upload(client, content, length)
    done = client.post("/api/files.completeUploadExternal", json={"files": [{"id": file_id, "title": "t"}]})
    assert done.json()["error"] == "file_not_found"
    assert client.get(f"/files/{file_id}").status_code == 404


def test_a_webhook_writes_to_the_channel_of_its_token_and_nothing_else_does(tmp_path):
    app = create_app(folder=tmp_path, token={"xoxb-dev": "#imago-dev"})
    client = TestClient(app)
    assert client.post("/services/T/B/xoxb-dev", json={"text": "hello"}).text == "ok"
    assert client.post("/services/T/B/xoxb-no", json={"text": "hello"}).status_code == 404
    assert client.post("/services/T/B/xoxb-dev", json={"text": ""}).text == "invalid_payload"
    (message,) = client.get("/api-sandbox/messages").json()["messages"]
    assert (message["channel_name"], message["text"]) == ("imago-dev", "hello")
