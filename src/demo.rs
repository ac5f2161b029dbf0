//! The demo: two MCP servers that run inside Rialto, and REST routes beside them.
//!
//! `docs` serves Rialto's own documentation. It is also the smallest complete server there is to try a client or a
//! gateway with: it has tools, resources, templates, a prompt, completion, progress, logging and one question, and it
//! speaks both eras. Everything it answers comes from the pages in `demo/docs`, which are part of the program.
//!
//! [`Finance`] keeps the books of a small company, for REST clients and MCP clients at once.
//!
//! The code is made to be copied: of this crate it uses nothing but what everybody can use.

use std::sync::LazyLock;

use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult, DiscoverResult,
        GetPromptRequestParams, GetPromptResponse, Implementation, ListPromptsResult, ListResourceTemplatesResult,
        ListResourcesResult, ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse,
        ServerCapabilities, ServerConfig, SubscriptionFilter, Tool,
    },
    service::{RequestContext, ServerInitializeError},
};
use tokio::io::DuplexStream;

mod ask;
mod corpus;
mod explain;
mod finance;
mod index;
mod kit;
mod log;
mod reading;
mod recommend;
mod seal;
mod search;
mod tools;

#[cfg(test)]
mod tests;

pub(crate) use finance::Finance;
pub(crate) use kit::ServeError;

use corpus::Corpus;
use kit::{TTL_MS, cacheable, is_modern, refuse_cursor};
use log::SessionLevel;
use seal::StateSeal;

const INSTRUCTIONS: &str = "The documentation of Rialto, a gateway that lets any MCP client use any MCP server. \
    Use `search` to find sections, `read_page` to read them, and `recommend` when it is not clear where to begin. \
    Pages are resources as well, at rialto://docs/{page}.";

/// What all sessions of the process share.
struct Library {
    corpus: Corpus,
    tools: Vec<Tool>,
    seal: StateSeal,
}

static LIBRARY: LazyLock<Library> =
    LazyLock::new(|| Library { corpus: Corpus::new(), tools: tools::definitions(), seal: StateSeal::new() });

/// One session with the documentation server. Clones belong to the same session; the pages are shared by all.
#[derive(Clone)]
pub(crate) struct Docs {
    library: &'static Library,
    level: SessionLevel,
}

impl Docs {
    /// Serves one session on `io`, in whichever era the client begins, until the stream ends.
    ///
    /// A client that leaves before it has said anything has done nothing wrong, so that is not an error.
    ///
    /// # Errors
    ///
    /// The first message was neither `initialize` nor a request of the modern era, or the stream broke meanwhile.
    pub(crate) async fn serve(io: DuplexStream) -> Result<(), ServeError> {
        let session = Self { library: &LIBRARY, level: SessionLevel::default() };
        // Boxed, because the future of an opening session is large and whoever holds ours should not pay for it.
        let running = match Box::pin(session.serve(io)).await {
            Ok(running) => running,
            Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
            Err(error) => return Err(ServeError::Opening(Box::new(error))),
        };
        running.waiting().await.map_err(ServeError::Crashed)?;
        Ok(())
    }
}

impl ServerHandler for Docs {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_resources()
            .enable_resources_list_changed()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_completions();
        let capabilities = log::declare(capabilities.build());
        ServerConfig::new(capabilities)
            .with_server_info(
                Implementation::new("rialto-docs", env!("CARGO_PKG_VERSION")).with_title("Rialto documentation"),
            )
            .with_instructions(INSTRUCTIONS)
    }

    async fn discover(&self, _context: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        let modern =
            self.supported_protocol_versions().iter().filter(|revision| !revision.has_initialize()).cloned().collect();
        Ok(DiscoverResult::from_server_info(modern, self.get_info())
            .with_ttl_ms(TTL_MS)
            .with_cache_scope(CacheScope::Public))
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        refuse_cursor(request.as_ref())?;
        let tools = ListToolsResult::with_all_items(self.library.tools.clone());
        Ok(cacheable!(tools, context))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        let tools = &self.library.tools;
        tools.iter().find(|tool| tool.name == name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        tools::call(self, request, &context).await
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        refuse_cursor(request.as_ref())?;
        let pages = ListResourcesResult::with_all_items(reading::resources(&self.library.corpus));
        Ok(cacheable!(pages, context))
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        refuse_cursor(request.as_ref())?;
        let templates = ListResourceTemplatesResult::with_all_items(reading::templates());
        Ok(cacheable!(templates, context))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let contents = reading::read(&self.library.corpus, &request.uri)?;
        Ok(cacheable!(contents, context).into())
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        refuse_cursor(request.as_ref())?;
        let prompts = ListPromptsResult::with_all_items(vec![explain::definition()]);
        Ok(cacheable!(prompts, context))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        explain::get(&self.library.corpus, &request).map(Into::into)
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        explain::complete(&self.library.corpus, &request)
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        // What is not advertised is removed by the SDK; what is left is accepted and never needs to be sent.
        Some(requested.clone())
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
