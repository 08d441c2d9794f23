//! The bundles of Swagger UI and ReDoc.

use std::io;

use super::Files;

/// Returns the bundles, by name.
pub(crate) fn read() -> io::Result<Files> {
    let swagger = aide::swagger::Swagger::new("").html();
    let style = between(&swagger, "<style>", "</style>")?;
    let script = between(&swagger, "<script>", "</script>\n<!-- `SwaggerUIBundle` is now available")?;
    let redoc = aide::redoc::Redoc::new("").html();
    let redoc = between(&redoc, "<script>", "//# sourceMappingURL=")?;
    // A logo beside its name, which it would fetch from the internet.
    let logo = "\"https://cdn.redoc.ly/redoc/logo-mini.svg\"";
    if !redoc.contains(logo) {
        return Err(changed(logo));
    }
    Ok(Files::from([
        ("bundles/swagger-ui.css".to_owned(), style.to_owned()),
        ("bundles/swagger-ui.js".to_owned(), script.to_owned()),
        ("bundles/redoc.js".to_owned(), redoc.replace(logo, NO_IMAGE)),
    ]))
}

/// An empty image, as a script's text.
const NO_IMAGE: &str = "\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E\"";

/// Returns the text after the first `begin` and before the last `end`.
fn between<'t>(text: &'t str, begin: &str, end: &str) -> io::Result<&'t str> {
    let (_, rest) = text.split_once(begin).ok_or_else(|| changed(begin))?;
    Ok(rest.rsplit_once(end).ok_or_else(|| changed(end))?.0.trim())
}

fn changed(wanted: &str) -> io::Error {
    io::Error::other(format!("the pages of the crate aide have changed: {wanted:?} is missing"))
}
