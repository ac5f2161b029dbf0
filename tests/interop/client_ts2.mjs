// The TypeScript SDK 2.x as a client: `client_ts2.mjs URL --mode legacy|auto|pinned [--profile P] [--skip a,b]`.
import { credentials, elicitationAnswer, main, noting, ROOTS, samplingAnswer } from './checks.mjs';

const { Client, StreamableHTTPClientTransport } = await import('@modelcontextprotocol/client');
const { StdioClientTransport } = await import('@modelcontextprotocol/client/stdio');

const MODES = { legacy: 'legacy', auto: 'auto', pinned: { pin: '2026-07-28' } };

async function connect({ target, mode }) {
    const client = new Client(
        { name: 'interop-ts2', version: '1.0.0' },
        { capabilities: { elicitation: {}, sampling: {}, roots: { listChanged: true } }, versionNegotiation: { mode: MODES[mode] } }
    );
    const logs = [];
    const updates = [];
    const changes = [];
    client.setRequestHandler('elicitation/create', request => elicitationAnswer(request.params));
    client.setRequestHandler('sampling/createMessage', request => samplingAnswer(request.params));
    client.setRequestHandler('roots/list', () => ({ roots: ROOTS }));
    client.setNotificationHandler('notifications/message', ({ params }) => void logs.push(`${params.level}: ${params.data}`));
    client.setNotificationHandler('notifications/resources/updated', ({ params }) => void updates.push(params.uri));
    client.setNotificationHandler('notifications/tools/list_changed', () => void changes.push('tools'));
    const [command, ...args] = target.split(' ');
    const { sent, fetch } = noting();
    const http = () => new StreamableHTTPClientTransport(new URL(target), { fetch, requestInit: credentials() });
    const transport = target.startsWith('http') ? http() : new StdioClientTransport({ command, args });
    await client.connect(transport);
    const modern = client.getProtocolEra() === 'modern';
    // A modern client states with every request which log messages it wants.
    let meta = {};
    return {
        info: { revision: client.getNegotiatedProtocolVersion(), era: client.getProtocolEra(), server: client.getServerVersion()?.name },
        logs,
        sent,
        ping: () => client.ping(),
        tools: async () => (await client.listTools()).tools,
        resources: async () => (await client.listResources()).resources,
        templates: async () => (await client.listResourceTemplates()).resourceTemplates,
        prompts: async () => (await client.listPrompts()).prompts,
        call: (name, args, onprogress, signal) => client.callTool({ name, arguments: args, ...meta }, { onprogress, signal }),
        read: uri => client.readResource({ uri }),
        prompt: (name, args) => client.getPrompt({ name, arguments: args }),
        complete: async (name, argument, value) =>
            (await client.complete({ ref: { type: 'ref/prompt', name }, argument: { name: argument, value } })).completion.values,
        async setLevel(level) {
            if (modern) meta = { _meta: { 'io.modelcontextprotocol/logLevel': level } };
            else await client.setLoggingLevel(level);
        },
        async subscribe(uri) {
            updates.length = 0;
            if (modern) {
                const subscription = await client.listen({ resourceSubscriptions: [uri] });
                return { seen: updates, end: () => subscription.close() };
            }
            await client.subscribeResource({ uri });
            return { seen: updates, end: () => client.unsubscribeResource({ uri }) };
        },
        async listChanges() {
            changes.length = 0;
            if (!modern) return { seen: changes, end: () => {} };
            const subscription = await client.listen({ toolsListChanged: true });
            return { seen: changes, end: () => subscription.close() };
        },
        async close() {
            if (!modern) await transport.terminateSession?.();
            await client.close();
        }
    };
}

await main(connect, ['legacy', 'auto', 'pinned']);
