//! all derived topics -> HTTP and the page.
