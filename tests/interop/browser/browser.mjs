// A browser that reports everything a page does that it should not: `open` gives pages, `faults` what they did.
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
export const DIR = process.env.RIALTO_INTEROP_DIR || path.join(root, '.interop');
const { chromium } = createRequire(path.join(DIR, 'browser', 'package.json'))('playwright-core');

const FLAGS = [
    '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking', '--disable-component-update',
    '--disable-default-apps', '--disable-extensions', '--disable-sync', '--no-first-run', '--no-default-browser-check'
];

/** How long anything on a page may take, in milliseconds. */
export const PATIENCE = 10_000;

export async function launch() {
    return chromium.launch({ executablePath: path.join(DIR, 'bin', 'chromium'), args: FLAGS });
}

/** A page of its own context that watches itself. `expected` are statuses that the console may complain about. */
export async function open(browser, base, options = {}, expected = []) {
    const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, ...options });
    context.setDefaultTimeout(PATIENCE);
    const faults = [];
    const origin = new URL(base).origin;
    await context.route('**/*', route => {
        const url = new URL(route.request().url());
        if (url.origin === origin || url.protocol === 'data:' || url.protocol === 'blob:') return route.continue();
        faults.push(`a request to ${url.href.slice(0, 200)}`);
        return route.abort();
    });
    if (options.javaScriptEnabled !== false) {
        // Runs before anything of the page, and not by its leave.
        await context.addInitScript(() => {
            document.addEventListener('securitypolicyviolation', event => {
                console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
            });
        });
    }
    const page = await context.newPage();
    page.on('dialog', dialog => {
        faults.push(`a dialog: ${dialog.message()}`);
        return dialog.dismiss();
    });
    page.on('pageerror', error => faults.push(`an error: ${error.message}`));
    page.on('popup', popup => faults.push(`a window: ${popup.url()}`));
    page.on('console', message => {
        const text = message.text();
        const isExpected = expected.some(status => text.includes(`status of ${status}`));
        if (['error', 'warning'].includes(message.type()) && !isExpected) faults.push(`the console: ${text}`);
    });
    return { page, context, faults };
}

/** What is too faint to read: text whose contrast with what is behind it is below 4.5 (WCAG 2.2, 1.4.3). */
export async function faint(page) {
    return page.evaluate(() => {
        const channels = colour => colour.match(/[\d.]+/g).map(Number);
        const luminance = ([r, g, b]) => {
            const linear = [r, g, b].map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
        };
        const behind = element => {
            for (let e = element; e; e = e.parentElement) {
                const colour = channels(getComputedStyle(e).backgroundColor);
                if (colour[3] === undefined || colour[3] > 0.99) return colour;
            }
            return [255, 255, 255];
        };
        const found = [];
        for (const element of document.querySelectorAll('body *')) {
            const own = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
            if (!own || !element.checkVisibility()) continue;
            const [a, b] = [luminance(channels(getComputedStyle(element).color)), luminance(behind(element))];
            const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            if (ratio < 4.5) found.push(`${element.tagName} ${element.textContent.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
        }
        return found;
    });
}

export function assert(condition, message) {
    if (!condition) throw new Error(message);
}

export function same(actual, expected, what) {
    const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
    assert(a === e, `${what}: ${a} instead of ${e}`);
}
