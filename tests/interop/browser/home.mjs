// The page at `/`, as people see it.
import { assert, faint, open, same } from './browser.mjs';

const VIEWS = {
    light: { colorScheme: 'light' },
    dark: { colorScheme: 'dark' },
    phone: { colorScheme: 'light', viewport: { width: 375, height: 812 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true }
};

/** What the page says of each mount. */
async function shown(page) {
    return page.$$eval('.mount', mounts => Object.fromEntries(mounts.map(mount => [mount.id.replace('mount-', ''), {
        state: ['up', 'down', 'unknown'].find(state => mount.classList.contains(state)),
        url: mount.querySelector('.url code').textContent,
        reason: mount.querySelector('.reason')?.textContent.trim() ?? null
    }])));
}

export async function states({ browser, base, options, key }) {
    const { page, context, faults } = await open(browser, base, options);
    const headers = key ? { authorization: `Bearer ${key}` } : {};
    const readyz = async () => (await (await context.request.get(`${base}/readyz`, { headers })).json()).mounts ?? {};
    const deadline = Date.now() + 15_000;
    while (Object.values(await readyz()).some(mount => mount.status === 'unknown') && Date.now() < deadline) {
        await new Promise(resolve => setTimeout(resolve, 100));
    }
    const expected = await readyz();
    const response = await page.goto(base);
    same(response.status(), 200, 'the status');
    assert(response.headers()['content-security-policy']?.includes("default-src 'none'"), 'no policy');
    const mounts = await shown(page);
    same(Object.keys(mounts), Object.keys(expected), 'the mounts');
    for (const [name, { status }] of Object.entries(expected)) {
        same(mounts[name].state, status, `the state of ${name}`);
        same(mounts[name].url, `${base}/mcp/${name}`, `the address of ${name}`);
        assert(status !== 'down' || mounts[name].reason, `${name} is down without a reason`);
    }
    // Without JavaScript it is the same page.
    const plain = await open(browser, base, { ...options, javaScriptEnabled: false });
    await plain.page.goto(base);
    same(await plain.page.locator('.mount').count(), Object.keys(expected).length, 'mounts without JavaScript');
    return [...faults, ...plain.faults];
}

export async function links({ browser, base, options }) {
    const { page, context, faults } = await open(browser, base, options);
    await page.goto(base);
    const found = await page.$$eval('a[href]', links => links.map(link => link.getAttribute('href')));
    assert(found.includes('/readyz') && found.includes('/metrics'), `links: ${found}`);
    for (const href of found.filter(href => href.startsWith('/'))) {
        const answer = await context.request.get(base + href);
        assert(answer.ok(), `${href} is answered with ${answer.status()}`);
    }
    return faults;
}

export async function looks({ browser, base, options, screens }) {
    const faults = [];
    const grounds = {};
    for (const [name, view] of Object.entries(VIEWS)) {
        const opened = await open(browser, base, { ...options, ...view });
        await opened.page.goto(base);
        for (const details of await opened.page.locator('details').all()) await details.evaluate(element => (element.open = true));
        same(await faint(opened.page), [], `text that is too faint, ${name}`);
        const [wide, room] = await opened.page.evaluate(() => [document.scrollingElement.scrollWidth, innerWidth]);
        assert(wide <= room, `${name}: the page is ${wide} wide and has room for ${room}`);
        grounds[name] = await opened.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
        if (screens) await opened.page.screenshot({ path: `${screens}-${name}.png`, fullPage: true });
        faults.push(...opened.faults);
        await opened.context.close();
    }
    assert(grounds.light !== grounds.dark, 'light and dark look the same');
    return faults;
}

export async function reading({ browser, base, options }) {
    const { page, faults } = await open(browser, base, options);
    await page.goto(base);
    const outline = await page.evaluate(() => ({
        language: document.documentElement.lang,
        main: document.querySelectorAll('main').length,
        first: document.querySelectorAll('h1').length,
        levels: [...document.querySelectorAll('h1, h2, h3, h4')].map(heading => Number(heading.tagName[1])),
        unnamed: [...document.querySelectorAll('nav, section, article')].filter(e => !e.ariaLabel && !e.getAttribute('aria-labelledby')).length,
        images: [...document.images].filter(image => !image.hasAttribute('alt')).length,
        twice: (ids => ids.length - new Set(ids).size)([...document.querySelectorAll('[id]')].map(e => e.id))
    }));
    const { levels, ...rest } = outline;
    same(rest, { language: 'en', main: 1, first: 1, unnamed: 0, images: 0, twice: 0 }, 'the outline');
    assert(levels.every((level, at) => at === 0 || level <= levels[at - 1] + 1), `headings skip a level: ${levels}`);
    // By keyboard: the first stop leads past the header, and a focus can be seen.
    await page.keyboard.press('Tab');
    same(await page.evaluate(() => document.activeElement.getAttribute('href')), '#main', 'the first stop');
    assert((await page.locator('.skip').boundingBox()).x >= 0, 'the first stop cannot be seen');
    await page.keyboard.press('Tab');
    const outlined = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert(outlined !== 'none', 'a focus cannot be seen');
    // One click marks the whole address.
    const code = page.locator('.url code').first();
    await code.click();
    same(await page.evaluate(() => getSelection().toString().trim()), await code.textContent(), 'what a click marks');
    return faults;
}

/** What a hostile server says is there to be read, and is nothing but text. */
export async function hostile({ browser, base, options }) {
    const { page, faults } = await open(browser, base, options);
    await page.goto(base);
    // What the server calls itself is known once it has been asked.
    await page.waitForTimeout(500);
    await page.reload();
    const text = await page.locator('main').innerText();
    for (const expected of ['<script>alert(1)</script>', 'onerror=alert(1)>']) {
        assert(text.includes(expected), `the page does not show ${expected}: ${text}`);
    }
    const elements = await page.$$eval('body *', all => [...new Set(all.map(element => element.tagName.toLowerCase()))]);
    for (const never of ['script', 'iframe', 'svg', 'form', 'style', 'base', 'meta']) {
        assert(!elements.includes(never), `there is a ${never} on the page`);
    }
    same(await page.evaluate(() => [...document.images].filter(image => !image.src.includes('/assets/')).length), 0, 'images of others');
    return faults;
}
