// Logging in to pages with a key, as the password that browsers ask for.
import { assert, open, same } from './browser.mjs';

export async function refused({ browser, base }) {
    for (const httpCredentials of [undefined, { username: 'me', password: 'a-wrong-key-of-some-length' }]) {
        const { page, faults } = await open(browser, base, { httpCredentials }, [401]);
        let status = 401;
        try {
            status = (await page.goto(base)).status();
        } catch (error) {
            // What a browser does with a challenge that nobody answers.
            assert(/INVALID_AUTH_CREDENTIALS|HTTP_RESPONSE_CODE_FAILURE/.test(error.message), error.message);
        }
        same(status, 401, 'the status without a good key');
        // The browser may still be on its way to a page of its own about the refusal.
        await page.waitForURL(() => true, { waitUntil: 'load' }).catch(() => {});
        const shown = await page.evaluate(() => document.documentElement.outerHTML).catch(() => '');
        assert(!shown.includes('/mcp/docs'), 'the page tells strangers what is mounted');
        same(faults, [], 'faults');
    }
    return [];
}

export async function login({ browser, base, options, principal }) {
    const { page, faults } = await open(browser, base, options);
    const response = await page.goto(base);
    same(response.status(), 200, 'the status with a key');
    const text = await page.locator('main').innerText();
    assert(text.includes(principal), `the page does not say who is logged in: ${text}`);
    assert(text.includes('YOUR_KEY'), 'the page does not say where the key goes');
    assert(!(await page.content()).includes(options.httpCredentials.password), 'the key is on the page');
    return faults;
}
