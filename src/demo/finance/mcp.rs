//! The books as an MCP server: tools, the invoices as resources, prompts, and word of what changes.

use std::sync::Arc;

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult, DiscoverResult,
        GetPromptRequestParams, GetPromptResponse, Implementation, ListPromptsResult, ListResourceTemplatesResult,
        ListResourcesResult, ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse,
        ServerCapabilities, ServerConfig, SubscriptionFilter, Tool,
    },
    service::{RequestContext, SubscriptionContext},
};

use super::{
    super::{
        kit::{TTL_MS, cacheable, is_modern, refuse_cursor},
        log::{self, SessionLevel},
    },
    Company,
};

mod close;
mod create;
mod pay;
mod prompts;
mod reading;
mod resources;
mod subscriptions;
mod summarise;
mod tools;

pub(super) use tools::definitions;

use subscriptions::Subscriptions;

const INSTRUCTIONS: &str = "The books of Ponte Instruments, a small company that makes measuring instruments. \
    `list_invoices` and `list_accounts` show what there is, `summarise_month` what a month brought. `pay_invoice` moves \
    money and cannot be undone; payments above 1,000.00 ask the user first. Amounts are in cents. Invoices are resources as \
    well, at finance://invoices/{id}; subscribe to one to hear when it is paid.";

/// One session with the server. Clones belong to the same session; the company is shared by all.
#[derive(Clone)]
pub(super) struct Session {
    company: Arc<Company>,
    level: SessionLevel,
    subscriptions: Arc<Subscriptions>,
}

impl Session {
    pub(super) fn new(company: Arc<Company>) -> Self {
        let subscriptions = Arc::new(Subscriptions::new(&company.ledger));
        Self { company, level: SessionLevel::default(), subscriptions }
    }
}

impl ServerHandler for Session {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_resources_list_changed()
            .enable_resources_subscribe()
            .enable_prompts()
            .enable_completions();
        let capabilities = log::declare(capabilities.build());
        let server = Implementation::new("rialto-finance", env!("CARGO_PKG_VERSION")).with_title("Ponte Instruments");
        ServerConfig::new(capabilities).with_server_info(server).with_instructions(INSTRUCTIONS)
    }

    async fn discover(&self, _context: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        let modern =
            self.supported_protocol_versions().iter().filter(|revision| !revision.has_initialize()).cloned().collect();
        let discovered = DiscoverResult::from_server_info(modern, self.get_info());
        Ok(discovered.with_ttl_ms(TTL_MS).with_cache_scope(rmcp::model::CacheScope::Public))
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        refuse_cursor(request.as_ref())?;
        let tools = ListToolsResult::with_all_items(self.company.tools.clone());
        Ok(cacheable!(tools, context))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        let tools = &self.company.tools;
        tools.iter().find(|tool| tool.name == name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        tools::call(self, request, &context).await
    }

    // The books change at any time, so that lists and contents of invoices may not be kept: without a hint of ours, the SDK
    // says to modern clients that they are stale at once and for nobody else.
    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        resources::list(&self.company.ledger, request.as_ref())
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        refuse_cursor(request.as_ref())?;
        let templates = ListResourceTemplatesResult::with_all_items(vec![resources::template()]);
        Ok(cacheable!(templates, context))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        resources::read(&self.company.ledger, &request.uri).map(Into::into)
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        refuse_cursor(request.as_ref())?;
        let prompts = ListPromptsResult::with_all_items(prompts::definitions());
        Ok(cacheable!(prompts, context))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        prompts::get(&self.company.ledger, &request).map(Into::into)
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        prompts::complete(&self.company.ledger, &request)
    }

    async fn subscribe(
        &self,
        request: rmcp::model::SubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        resources::read(&self.company.ledger, &request.uri)?;
        self.subscriptions.add(request.uri)
    }

    async fn unsubscribe(
        &self,
        request: rmcp::model::UnsubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.subscriptions.remove(&request.uri);
        Ok(())
    }

    async fn on_initialized(&self, _context: rmcp::service::NotificationContext<RoleServer>) {
        self.subscriptions.is_legacy();
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(self.subscriptions.accept(requested))
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        self.subscriptions.listen(&context).await;
        Ok(())
    }

    #[expect(deprecated, reason = "2026-07-28 deprecates logging; legacy clients still set a level")]
    async fn set_level(
        &self,
        request: rmcp::model::SetLevelRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        if is_modern(&context) {
            return Err(ErrorData::method_not_found::<rmcp::model::SetLevelRequestMethod>());
        }
        self.level.set(&request.level);
        Ok(())
    }
}
