"""Attacks on every line of what the viewer promises."""

import json
import re

import pytest
from starlette.testclient import TestClient

from histofactor.viewer.app import make_app
from histofactor.viewer.security import CSRF_HEADER, MAX_BODY_BYTES, Access, hosts_of

PATHS = ["/", "/api/study", "/api/concepts", "/api/table", "/static/main.js", "/api/phenotypes.csv", "/api/apply"]


@pytest.fixture
def stranger(looked_at):
    """A client that was told no token."""
    return TestClient(make_app(looked_at.server), base_url="http://127.0.0.1:8750")


def slide_paths(viewer):
    id_ = viewer.ids[0]
    told = viewer.json(f"/api/slides/{id_}")
    return [
        f"/api/slides/{id_}",
        f"/thumbs/{id_}.jpg",
        f"/tiles/{id_}/{told['tiles_version']}/9_0_0.jpg",
        f"/labels/{id_}/{told['labels_version']}/0_0_0.bin",
        f"/api/slides/{id_}/phenotypes.csv",
        f"/api/slides/{id_}/regions.geojson.gz",
    ]


def test_nothing_is_served_without_the_cookie(stranger, looked_at):
    for path in [*PATHS, *slide_paths(looked_at)]:
        answer = stranger.get(path, follow_redirects=False)
        assert answer.status_code == 401, path
        assert looked_at.access.token not in answer.text
        assert looked_at.access.csrf not in answer.text
        assert looked_at.get(path).status_code == 200, path


@pytest.mark.parametrize("token", ["", "x", "é", "a" * 43])
def test_a_wrong_token_opens_nothing(stranger, token):
    answer = stranger.get("/", params={"token": token}, follow_redirects=False)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("cookie", ["x", "", "é".encode().decode("latin-1"), '"', "a=b; c"])
def test_a_wrong_cookie_opens_nothing(stranger, cookie):
    headers = [(b"cookie", f"histofactor-8750={cookie}".encode("latin-1"))]
    assert stranger.get("/api/study", headers=headers).status_code == 401


def test_the_token_becomes_a_cookie_that_scripts_and_other_sites_do_not_get(stranger, looked_at):
    answer = stranger.get(f"/?token={looked_at.access.token}", follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "path=/" in cookie
    assert "domain" not in cookie
    assert len(looked_at.access.token) >= 40
    assert stranger.get("/api/study").status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8750", "127.0.0.1", "127.0.0.1:80", "127.0.0.1.evil.example:8750", ""]
)
def test_a_name_that_leads_here_is_not_ours(looked_at, host):
    """DNS rebinding: the browser sends our cookie to a name of an outsider."""
    for path in PATHS:
        assert looked_at.get(path, headers={"host": host}).status_code == 421


def test_two_host_headers_are_none(looked_at):
    headers = [(b"host", b"127.0.0.1:8750"), (b"host", b"evil.example")]
    assert looked_at.get("/api/study", headers=headers).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1:8750", "localhost:8750", "LOCALHOST:8750", "[::1]:8750"])
def test_our_own_names_are_ours(looked_at, host):
    assert host.lower() in hosts_of("127.0.0.1", 8750)
    headers = {"host": host, "cookie": f"histofactor-8750={looked_at.access.token}"}
    assert looked_at.get("/api/study", headers=headers).status_code == 200


def test_beyond_this_machine_any_address_is_ours_and_no_name(looked_at):
    access = Access(hosts_of("0.0.0.0", 8750), 8750, addresses=True)
    for host in ("10.1.2.3:8750", "[fd00::1]:8750", "127.0.0.1:8750", "localhost:8750"):
        assert access.is_called(host)
    for host in (
        "evil.example:8750",
        "10.1.2.3:8751",
        "10.1.2.3",
        "10.1.2.3.evil.example:8750",
        "[evil]:8750",
        "",
        ":",
    ):
        assert not access.is_called(host)
    assert not looked_at.access.is_called("10.1.2.3:8750")


def test_other_sites_are_answered_nothing_and_allowed_nothing(looked_at):
    for site in ("https://evil.example", "http://127.0.0.1:9999", "null"):
        answer = looked_at.get("/api/study", headers={"origin": site})
        assert not [name for name in answer.headers if name.startswith("access-control-")]
    for path in PATHS[1:]:
        for site in ("cross-site", "same-site"):
            assert looked_at.get(path, headers={"sec-fetch-site": site}).status_code == 403
    for site in ("same-origin", "none"):
        assert looked_at.get("/api/study", headers={"sec-fetch-site": site}).status_code == 200
    preflight = looked_at.client.options("/api/edit", headers={"origin": "https://evil.example"})
    assert preflight.status_code in (403, 405)
    assert not [name for name in preflight.headers if name.startswith("access-control-")]


WRITES = ["edit", "apply", "cancel"]


@pytest.mark.parametrize("what", WRITES)
def test_writes_need_the_header_and_our_origin(viewer, what):
    client, csrf = viewer.client, {CSRF_HEADER: viewer.access.csrf}
    assert client.post(f"/api/{what}", json={}).status_code == 403
    assert client.post(f"/api/{what}", json={}, headers={CSRF_HEADER: "guess"}).status_code == 403
    assert client.post(f"/api/{what}", json={}, headers={CSRF_HEADER: viewer.access.token}).status_code == 403
    for origin in ("https://evil.example", "null", "http://127.0.0.1:8751"):
        answer = client.post(f"/api/{what}", json={}, headers={**csrf, "origin": origin})
        assert answer.status_code == 403
    for site in ("cross-site", "same-site"):
        assert client.post(f"/api/{what}", json={}, headers={**csrf, "sec-fetch-site": site}).status_code == 403
    form = client.post(f"/api/{what}", data={"a": "b"}, headers=csrf)  # what a form of another site could send
    assert form.status_code == 415
    assert viewer.json("/api/apply")["state"] == "idle"
    stranger = TestClient(make_app(viewer.server), base_url="http://127.0.0.1:8750")
    assert stranger.post(f"/api/{what}", json={}, headers=csrf).status_code == 401


def test_bodies_are_short_and_tell_their_length(viewer):
    headers = {CSRF_HEADER: viewer.access.csrf, "content-type": "application/json"}
    long = viewer.client.post("/api/edit", content=b" " * (MAX_BODY_BYTES + 1), headers=headers)
    assert long.status_code == 413
    streamed = viewer.client.post("/api/edit", content=iter([b"{}"]), headers=headers)
    assert streamed.status_code == 413
    for body in (b"[]", b"{", b'"x"', b"[" * 50_000):
        assert viewer.client.post("/api/edit", content=body, headers=headers).status_code == 400


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_no_other_method_is_known(viewer, method):
    answer = viewer.client.request(method, "/api/edit", json={}, headers={CSRF_HEADER: viewer.access.csrf})
    assert answer.status_code == 405


def test_the_policy_knows_no_other_host_and_no_inline_script(looked_at):
    for path in [*PATHS, "/nothing", "/api/slides/none"]:
        answer = looked_at.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert "*" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
    page = looked_at.get("/").text
    assert not re.search(r"<script(?![^>]* src=)|\son[a-z]+=|https?://", page)


OUTSIDE = [
    "/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e%2fapp.py", "/static/..%5capp.py", "/static//etc/passwd",
    "/static/vendor/integrity.txt", "/static/%00", "/static/main.js%00.css", "/api/slides/..",
    "/api/slides/a", "/api/slides/%2e%2e%2f%2e%2e", "/thumbs/..%2f..%2fa.jpg", "/thumbs/a.jpg", "/tiles/a/b/0_0_0.jpg",
    "/labels/..%2fa/b/0_0_0.bin", "/patches/x/1/../../../etc/passwd", "/heat/a/b/margin.bin",
    "/etc/passwd", "//etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/api/slides/a%2fphenotypes.csv",
]  # fmt: skip


@pytest.mark.parametrize("path", OUTSIDE)
def test_nothing_outside_is_served(looked_at, path):
    """Sent as they are: a client would tidy them up."""
    answer = looked_at.client.request("GET", looked_at.client.base_url.copy_with(raw_path=path.encode()))
    assert answer.status_code in (404, 405), path
    assert "root:" not in answer.text
    assert "import" not in answer.text


def test_slides_are_called_by_ids_never_by_paths(looked_at, whole_study):
    out, paths = whole_study
    for path in ["/api/study", "/api/concepts", "/api/table", f"/api/slides/{looked_at.ids[0]}", "/api/concepts/1"]:
        text = looked_at.get(path).text
        assert str(out) not in text
        assert str(paths[0].parent) not in text
    assert all(re.fullmatch("[0-9a-f]{12}", id_) for id_ in looked_at.ids)
    for name in (*looked_at.view.slides.values(), paths[0].name, str(paths[0])):
        assert looked_at.get(f"/api/slides/{name}").status_code == 404


def test_a_folder_that_is_a_link_elsewhere_is_not_served(viewer, tmp_path):
    out, id_ = viewer.view.out, viewer.ids[0]
    name = viewer.view.slides[id_]
    (out / name).rename(tmp_path / "elsewhere")
    (out / name).symlink_to(tmp_path / "elsewhere")
    for path in (f"/api/slides/{id_}", f"/thumbs/{id_}.jpg", f"/api/slides/{id_}/phenotypes.csv"):
        answer = viewer.get(path)
        assert answer.status_code in (404, 422)
        assert str(tmp_path) not in answer.text or "error" in answer.json()


HUGE = ["9" * 9, "9" * 30, "9" * 5000, "-1", "1e9", "٣", "0x10", "NaN", " 1"]


@pytest.mark.parametrize("number", HUGE)
def test_tiles_are_bounded(looked_at, number):
    id_ = looked_at.ids[0]
    told = looked_at.json(f"/api/slides/{id_}")
    for place in (f"{number}_0_0", f"9_{number}_0", f"9_0_{number}"):
        assert looked_at.get(f"/tiles/{id_}/{told['tiles_version']}/{place}.jpg").status_code == 404
    for place in (f"{number}_0_0", f"0_{number}_0", f"0_0_{number}"):
        assert looked_at.get(f"/labels/{id_}/{told['labels_version']}/{place}.bin").status_code == 404
    for query in (f"x={number}&y=0", f"x=0&y={number}", f"x={number}"):
        assert looked_at.get(f"/api/slides/{id_}/point?{query}").status_code == 404
    assert looked_at.get(f"/api/concepts/{number}").status_code == 404


def test_an_address_of_before_tells_nothing_of_now(looked_at):
    id_ = looked_at.ids[0]
    assert looked_at.get(f"/tiles/{id_}/000000000000/9_0_0.jpg").status_code == 404
    assert looked_at.get(f"/labels/{id_}/000000000000/0_0_0.bin").status_code == 404


def test_read_only_changes_nothing(looked_at, whole_study):
    bank = whole_study[0] / "concepts.safetensors"
    before = bank.read_bytes()
    for what in WRITES:
        answer = looked_at.post(what, {"do": "name", "label": 1, "name": "x", "version": ""})
        assert answer.status_code == 403
        assert "look only" in answer.json()["error"]["what"]
    assert bank.read_bytes() == before


MARKUP = '<img src=x onerror=alert(1)> & "quotes" \'</script>'


def test_names_are_text(viewer):
    assert viewer.edit(do="name", label=1, name=MARKUP).status_code == 200
    answer = viewer.get("/api/concepts")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["concepts"][0]["name"] == MARKUP


@pytest.mark.parametrize(
    "name",
    ["\x1b[31mred\x1b[0m", "a\nb", "a\x00b", "\u202eabc", "\ud800", "", "  ", "x" * 201, 7, None, ["x"], "\x9b31m"],
)
def test_names_hold_nothing_that_a_terminal_obeys(viewer, name):
    before = viewer.json("/api/concepts")
    answer = viewer.client.post(
        "/api/edit",
        content=json.dumps({"do": "name", "label": 1, "name": name, "version": before["version"]}),
        headers={CSRF_HEADER: viewer.access.csrf, "content-type": "application/json"},
    )
    assert answer.status_code == 422
    assert answer.json()["error"]["what"]
    assert viewer.json("/api/concepts") == before
