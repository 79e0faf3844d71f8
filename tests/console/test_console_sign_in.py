"""A browser signs in once by a link or with a key, and may do what the key may: nothing else is offered, or works."""

import pytest
from playwright.async_api import Browser, expect

from tests.console.browsing import Watched, code_of, cookie_of, watched
from tests.support.stack import SECRET, LocalStack
from tests.support.waiting import eventually

pytestmark = [pytest.mark.console]

HTML = {"Accept": "text/html"}
SAME = {"Sec-Fetch-Site": "same-origin"}


async def test_a_link_signs_in_one_browser_once(stack: LocalStack) -> None:
    link = await code_of(stack)
    async with stack.client() as client:
        first = await client.get(link, headers=HTML)
        again = await client.get(link, headers=HTML)
        program = await client.get("/")
    assert (first.status_code, first.headers["location"]) == (303, "/console/live")
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "sk_dev_local" not in cookie
    assert again.status_code == 401
    assert "set-cookie" not in again.headers
    assert program.json()["console"] == "/console"


async def test_a_key_signs_in_and_out(browser: Browser, stack: LocalStack) -> None:
    async with watched(browser, stack) as seen:
        await seen.go("/console/keys")
        await expect(seen.page.get_by_label("Secret key")).to_be_focused()
        for wrong, says in (("sk_wrong", "unknown, revoked or expired"), ("pk_dev_local", "can only send events")):
            await seen.page.get_by_label("Secret key").fill(wrong)
            await seen.page.keyboard.press("Enter")
            await expect(seen.page.get_by_role("alert")).to_contain_text(says)
        await seen.go("/console/keys")
        await seen.page.get_by_label("Secret key").fill("sk_dev_local")
        await seen.page.get_by_role("button", name="Sign in").click()
        await expect(seen.page.get_by_role("heading", name="Keys", exact=True)).to_be_visible()
        await seen.page.get_by_role("button", name="Sign out").click()
        await seen.go("/console/keys")
        await expect(seen.page.get_by_label("Secret key")).to_be_visible()


async def test_a_cookie_that_is_not_ours_signs_nobody_in(stack: LocalStack) -> None:
    good = (await cookie_of(stack))["Cookie"].partition("=")[2]
    async with stack.client() as client:
        for bad in ("", "x", good[:-2] + "AA", good[5:], "é", "A" * 10_000):
            headers = {b"Cookie": f"headwater_console={bad}".encode()}
            answer = await client.get("/console/keys", headers=headers)
            assert answer.status_code in {401, 431}, bad[:20]
            assert "key_local" not in answer.text


@pytest.mark.parametrize("sent", [{}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}])
async def test_a_write_from_another_page_is_refused(stack: LocalStack, sent: dict[str, str]) -> None:
    cookie = await cookie_of(stack)
    form = {"name": "theirs", "kind": "public", "environment": "production"}
    async with stack.client() as client:
        refused = await client.post("/console/keys", data=form, headers=cookie | sent)
        listed = await client.get("/v1/keys", headers=SECRET)
    assert refused.status_code == 403
    assert "theirs" not in listed.text


async def test_what_a_key_may_not_do_is_neither_offered_nor_done(browser: Browser, stack: LocalStack) -> None:
    async with stack.client() as client:
        body = {"name": "reader", "kind": "secret", "scopes": ["contacts:read"]}
        key = (await client.post("/v1/keys", json=body)).json()
    bearer = {"Authorization": f"Bearer {key['key']}"}
    async with watched(browser, stack) as seen:
        await seen.go(await code_of(stack, bearer))
        await expect(seen.page.get_by_role("link", name="Live", exact=True)).to_be_visible()
        assert await seen.page.get_by_role("link", name="Keys", exact=True).count() == 0
        await seen.go("/console/keys")
        await expect(seen.page.get_by_role("alert")).to_contain_text("scope admin")
        async with stack.client() as client:
            await client.delete(f"/v1/keys/{key['id']}")
            refused = lambda answer: bool(answer.status_code == 401)  # noqa: E731 - the read API reads of it a moment later
            await eventually(lambda: client.get("/v1/contacts", headers=bearer), "the key is gone", meets=refused)
        await seen.go("/console/keys")
        await expect(seen.page.get_by_label("Secret key")).to_be_visible()


async def test_a_key_is_made_shown_once_and_revoked(seen: Watched) -> None:
    page = seen.page
    await seen.go("/console/keys")
    await page.get_by_label("Name").fill("<b>hostile</b> \u202eعربى")
    await page.get_by_role("button", name="Make the key").click()
    made = await page.locator(".good code").inner_text()
    assert made.startswith("sk_")
    await seen.go("/console/keys")
    assert made not in await page.content()
    row = page.get_by_role("row").filter(has_text="<b>hostile</b>")
    await row.get_by_text("Revoke", exact=True).click()
    await row.get_by_role("button").click()
    await expect(row).to_have_count(0)


async def test_the_environment_is_chosen_for_all_pages(seen: Watched) -> None:
    await seen.page.get_by_label("Environment").select_option("staging")
    await expect(seen.page.get_by_label("Environment")).to_have_value("staging")
    await seen.go("/console/keys")
    await expect(seen.page.locator("#environment")).to_have_value("staging")
