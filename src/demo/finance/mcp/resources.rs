//! The invoices as resources.

use rmcp::{
    ErrorData,
    model::{
        ListResourcesResult, PaginatedRequestParams, ReadResourceResult, Resource, ResourceContents, ResourceTemplate,
    },
};
use serde_json::json;

use super::super::{
    ledger::Ledger,
    model::{Invoice, InvoiceId},
};

/// The media type of an invoice.
pub(super) const JSON: &str = "application/json";

/// The template of an invoice's URI.
pub(super) const TEMPLATE: &str = "finance://invoices/{id}";

/// How many invoices there are on a page of the list.
const PAGE: usize = 100;

/// A page of all invoices, in the order in which they were issued. The cursor is the last invoice of the page before, so
/// that pages fit together however many invoices are added meanwhile.
pub(super) fn list(
    ledger: &Ledger,
    request: Option<&PaginatedRequestParams>,
) -> Result<ListResourcesResult, ErrorData> {
    let cursor = request.and_then(|request| request.cursor.as_deref());
    let after = cursor.map(str::parse::<InvoiceId>).transpose();
    let after =
        after.map_err(|_| ErrorData::invalid_params("unknown cursor: give back `nextCursor` as it was", None))?;
    let ids = ledger.invoice_ids(after);
    // Nothing is ever deleted, so that every one is still there.
    let invoices = ids.iter().take(PAGE).filter_map(|id| ledger.invoice(*id).ok());
    let mut list = ListResourcesResult::with_all_items(invoices.map(|invoice| resource(&invoice)).collect());
    list.next_cursor = ids.get(PAGE).and(ids.get(PAGE - 1)).map(InvoiceId::to_string);
    Ok(list)
}

/// An invoice as it is listed.
pub(super) fn resource(invoice: &Invoice) -> Resource {
    let Invoice { id, counterparty, amount, description, status, .. } = invoice;
    Resource::new(id.uri(), id.to_string())
        .with_title(format!("{counterparty}, {amount}"))
        .with_description(format!("{description} ({status})"))
        .with_mime_type(JSON)
}

pub(super) fn template() -> ResourceTemplate {
    ResourceTemplate::new(TEMPLATE, "invoice")
        .with_title("An invoice")
        .with_description("An invoice by its number, as JSON. Subscribe to it to hear when it is paid.")
        .with_mime_type(JSON)
}

/// The invoice behind a URI.
///
/// # Errors
///
/// Nothing is behind it. The code is the one that the client's revision has for that.
pub(super) fn read(ledger: &Ledger, uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let found = InvoiceId::from_uri(uri).and_then(|id| ledger.invoice(id).ok());
    let invoice = found.ok_or_else(|| {
        ErrorData::resource_not_found(
            format!("no such resource: `{uri}`; the invoices are in resources/list"),
            Some(json!({ "uri": uri })),
        )
    })?;
    Ok(ReadResourceResult::new(vec![contents(&invoice)?]))
}

/// An invoice as JSON, under its URI.
pub(super) fn contents(invoice: &Invoice) -> Result<ResourceContents, ErrorData> {
    let text = serde_json::to_string_pretty(invoice);
    let text = text.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    Ok(ResourceContents::text(text, invoice.uri.as_str()).with_mime_type(JSON))
}
