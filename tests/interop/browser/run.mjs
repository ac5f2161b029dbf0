// Runs checks in a browser: `run.mjs '{"base": URL, "checks": ["home.states", …], "key", "principal", "screens"}'`.
// Prints one line of JSON for each check, and ends with 1 when one failed.
import { launch } from './browser.mjs';
import * as home from './home.mjs';
import * as keys from './keys.mjs';
import * as swagger from './swagger.mjs';

const SUITES = { home, keys, swagger };
const { checks, ...given } = JSON.parse(process.argv[2]);
const options = given.key ? { httpCredentials: { username: 'me', password: given.key } } : {};

const browser = await launch();
let failed = false;
for (const check of checks) {
    const [suite, name] = check.split('.');
    const screens = given.screens && `${given.screens}-${suite}`;
    const began = performance.now();
    let detail = '';
    try {
        const faults = await SUITES[suite][name]({ browser, ...given, options, screens });
        if (faults.length) detail = faults.slice(0, 5).join('; ');
    } catch (error) {
        detail = error.message.split('\n').slice(0, 6).join('\n');
    }
    failed ||= detail !== '';
    console.log(JSON.stringify({ check, ok: !detail, detail, seconds: (performance.now() - began) / 1e3 }));
    await Promise.all(browser.contexts().map(context => context.close()));
}
await browser.close();
process.exit(failed ? 1 : 0);
