//! The tool `create_invoice`.

use rmcp::{
    ErrorData, RoleServer,
    model::{CallToolResponse, ContentBlock},
    service::RequestContext,
};
use serde_json::json;

use super::{
    super::{
        super::{
            kit::{knows_links, structured_result},
            log::Log,
        },
        ledger::Ledger,
        model::NewInvoice,
    },
    resources::resource,
    tools::refused,
};

/// Runs the tool. Where the client knows links, the result has one to the new resource.
pub(super) async fn run(
    ledger: &Ledger,
    new: NewInvoice,
    context: &RequestContext<RoleServer>,
    log: &Log<'_>,
) -> Result<CallToolResponse, ErrorData> {
    let invoice = match ledger.create(new) {
        Ok(invoice) => invoice,
        Err(reason) => return Ok(refused(&reason).into()),
    };
    log.info(json!({ "message": "created", "invoice": invoice.id })).await;
    let mut result = structured_result(&invoice)?;
    if knows_links(context) {
        result.content.push(ContentBlock::resource_link(resource(&invoice)));
    }
    Ok(result.into())
}
