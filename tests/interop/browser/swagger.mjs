// Swagger UI, as people use it: look a route up, try it out, bring a key.
import { assert, open, same } from './browser.mjs';

async function openDocs(browser, base, options, expected) {
    const opened = await open(browser, base, options, expected);
    const response = await opened.page.goto(`${base}/docs`);
    assert(response.ok(), `/docs is answered with ${response.status()}`);
    await opened.page.locator('.opblock').first().waitFor();
    return opened;
}

/** Runs an operation by its button; gives the status and the text of the answer. */
async function tryOut(page, method, path, { body, parameters = {} } = {}) {
    const block = page.locator('.opblock', { has: page.locator(`.opblock-summary-path[data-path="${path}"]`) });
    const operation = block.and(page.locator(`.opblock-${method}`));
    assert((await operation.count()) === 1, `Swagger UI shows ${await operation.count()} of ${method} ${path}`);
    if (!(await operation.getAttribute('class')).includes('is-open')) await operation.locator('.opblock-summary-control').click();
    const edits = operation.locator('.try-out__btn:not(.cancel):not(.reset)');
    await operation.locator('.try-out__btn').first().waitFor();
    if (await edits.count()) await edits.click();
    for (const [name, value] of Object.entries(parameters)) {
        await operation.locator(`tr[data-param-name="${name}"]`).locator('input, select').fill(value);
    }
    if (body !== undefined) await operation.locator('textarea.body-param__text').fill(JSON.stringify(body));
    const live = operation.locator('.live-responses-table .response');
    // What an earlier try left there must not be taken for the answer.
    if (await live.count()) await operation.locator('.btn-clear').click();
    await live.first().waitFor({ state: 'detached' });
    await operation.locator('.btn.execute').click();
    await live.locator('.response-col_status').first().waitFor();
    const status = Number((await live.locator('.response-col_status').first().innerText()).match(/\d+/)[0]);
    return { status, text: await live.locator('.response-col_description').first().innerText() };
}

const SEARCH = ['post', '/api/mounts/docs/tools/search', { body: { query: 'seal', limit: 1 } }];
const INVOICES = ['get', '/api/finance/invoices', {}];

export async function tool({ browser, base, options, screens }) {
    const { page, faults } = await openDocs(browser, base, options);
    const { status, text } = await tryOut(page, ...SEARCH);
    same(status, 200, `the status of a search (${text.slice(0, 300)})`);
    assert(text.includes('hits'), `the answer to a search: ${text.slice(0, 300)}`);
    if (screens) await page.screenshot({ path: `${screens}-tool.png`, fullPage: true });
    return faults;
}

export async function route({ browser, base, options, screens }) {
    const { page, faults } = await openDocs(browser, base, options);
    const { status, text } = await tryOut(page, ...INVOICES);
    same(status, 200, `the status of a finance route (${text.slice(0, 300)})`);
    if (screens) await page.screenshot({ path: `${screens}-route.png` });
    return faults;
}

/** Each mount has a document and a Swagger UI of its own. */
export async function mount({ browser, base, options }) {
    const { page, faults } = await open(browser, base, options);
    const response = await page.goto(`${base}/api/mounts/docs/docs`);
    assert(response.ok(), `the docs of a mount are answered with ${response.status()}`);
    await page.locator('.opblock').first().waitFor();
    const paths = await page.$$eval('.opblock-summary-path', found => found.map(path => path.dataset.path));
    assert(paths.length > 0 && !paths.some(path => path.includes('/finance')), `paths of the mount docs: ${paths}`);
    return faults;
}

/** Without a key nothing works, and with one given under "Authorize" it does. */
export async function authorize({ browser, base, options, key, screens }) {
    const { page, faults } = await openDocs(browser, base, options, [401]);
    // The browser brings the key to pages by itself, and never to what acts.
    same((await tryOut(page, ...SEARCH)).status, 401, 'the status without a key');
    await page.locator('.auth-wrapper .btn.authorize').first().click();
    const field = page.locator('.modal-ux .auth-container input').first();
    await field.fill(key);
    if (screens) await page.screenshot({ path: `${screens}-authorize.png` });
    await page.locator('.modal-ux .auth-btn-wrapper .btn.authorize').first().click();
    await page.locator('.modal-ux .auth-btn-wrapper .btn-done').first().click();
    const { status, text } = await tryOut(page, ...SEARCH);
    same(status, 200, `the status with a key (${text.slice(0, 300)})`);
    return faults;
}

/** Everything that a hostile server lists is opened and tried, and is nothing but text. */
export async function hostile({ browser, base, options }) {
    const { page, context, faults } = await openDocs(browser, base, options);
    const document = await context.request.get(`${base}/openapi.json`);
    assert(/^application\/([\w.+-]*\+)?json/.test(document.headers()['content-type']), document.headers()['content-type']);
    same(document.headers()['x-content-type-options'], 'nosniff', 'x-content-type-options of the document');
    assert(JSON.stringify(await document.json()).includes('<script>alert(1)'), 'the document lost the texts of the server');
    const operations = await page.locator('.opblock').all();
    assert(operations.length > 20, `only ${operations.length} operations are shown`);
    for (const operation of operations) {
        const turn = () => operation.locator('.opblock-summary-control').evaluate(control => control.click());
        // One at a time, and by no mouse: a page with all of them open is slow to lay out.
        await turn();
        await operation.locator('.opblock-body').waitFor({ state: 'attached' });
        const found = await operation.evaluate(element => ({
            links: [...element.querySelectorAll('a[href]')].map(link => link.getAttribute('href')),
            loaded: [...element.querySelectorAll('img, iframe, script, form, base, meta, object, embed')].map(e => e.outerHTML.slice(0, 100))
        }));
        same(found.loaded, [], 'what the page makes of texts of the server');
        for (const href of found.links) assert(href.startsWith('#'), `a link to ${href}`);
        await turn();
    }
    return faults;
}
