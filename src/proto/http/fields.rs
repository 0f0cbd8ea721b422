//! Every field of HTTP/1 heads, by Wireshark's names.

use crate::field::{Field, Kind};

crate::fields! {
    REQUEST = Field::walked("http.request", "Request", Kind::Flag, "The message asks (RFC 9112 §3).");
    RESPONSE = Field::walked("http.response", "Response", Kind::Flag, "The message answers (RFC 9112 §4).");
    REQUEST_METHOD = Field::walked("http.request.method", "Method", Kind::Text, "What is to be done with the target (RFC 9110 §9).");
    REQUEST_URI = Field::walked("http.request.uri", "Target", Kind::Text, "What is asked for, as the client wrote it (RFC 9112 §3.2).");
    URI_PATH = Field::walked("http.request.uri.path", "Path", Kind::Text, "The target before its question mark (RFC 3986 §3.3).");
    URI_QUERY = Field::walked("http.request.uri.query", "Query", Kind::Text, "The target behind its question mark (RFC 3986 §3.4).");
    URI_PARAMETER = Field::walked("http.request.uri.query.parameter", "Query parameter", Kind::Text, "A part of the query, between two ampersands.").many();
    REQUEST_VERSION = Field::walked("http.request.version", "Version", Kind::Text, "The highest version that the client speaks (RFC 9112 §2.3).");
    RESPONSE_VERSION = Field::walked("http.response.version", "Version", Kind::Text, "The highest version that the server speaks (RFC 9112 §2.3).");
    RESPONSE_CODE = Field::walked("http.response.code", "Status code", Kind::Uint, "How it went: the first digit is the class (RFC 9110 §15).");
    CODE_DESC = Field::walked("http.response.code.desc", "Status code in words", Kind::Text, "What the code means, by IANA's registry.");
    RESPONSE_PHRASE = Field::walked("http.response.phrase", "Reason phrase", Kind::Text, "The code in the server's own words, for people only (RFC 9112 §4).");
    REQUEST_LINE = Field::walked("http.request.line", "Header field line", Kind::Text, "A line of the head of a request, with what ends it (RFC 9112 §5).").many();
    RESPONSE_LINE = Field::walked("http.response.line", "Header field line", Kind::Text, "A line of the head of a response, with what ends it (RFC 9112 §5).").many();
    HOST = Field::walked("http.host", "Host", Kind::Text, "The host that the client means, one of many that an address may have (RFC 9110 §7.2).");
    FULL_URI = Field::walked("http.request.full_uri", "Full URI", Kind::Text, "Host and target put together (RFC 9112 §3.3).");
    USER_AGENT = Field::walked("http.user_agent", "User agent", Kind::Text, "The client's program (RFC 9110 §10.1.5).");
    ACCEPT = Field::walked("http.accept", "Accept", Kind::Text, "The media types that the client likes (RFC 9110 §12.5.1).").many();
    ACCEPT_LANGUAGE = Field::walked("http.accept_language", "Accept language", Kind::Text, "The languages that the client likes (RFC 9110 §12.5.4).").many();
    ACCEPT_ENCODING = Field::walked("http.accept_encoding", "Accept encoding", Kind::Text, "The codings that the client can undo (RFC 9110 §12.5.3).").many();
    REFERER = Field::walked("http.referer", "Referer", Kind::Text, "Where the client found the target (RFC 9110 §10.1.3).");
    CONNECTION = Field::walked("http.connection", "Connection", Kind::Text, "What holds for this connection only: close, keep-alive, Upgrade (RFC 9110 §7.6.1).").many();
    UPGRADE = Field::walked("http.upgrade", "Upgrade", Kind::Text, "The protocol to change to on this connection (RFC 9110 §7.8).").many();
    COOKIE = Field::walked("http.cookie", "Cookie", Kind::Text, "What the server set before, sent back (RFC 6265 §4.2).").many();
    COOKIE_PAIR = Field::walked("http.cookie_pair", "Cookie pair", Kind::Text, "One name and its value (RFC 6265 §4.2.1).").many();
    SET_COOKIE = Field::walked("http.set_cookie", "Set cookie", Kind::Text, "What the client is to send back from now on (RFC 6265 §4.1).").many();
    AUTHORIZATION = Field::walked("http.authorization", "Authorization", Kind::Text, "Who the client is, for the server (RFC 9110 §11.6.2).");
    PROXY_AUTHORIZATION = Field::walked("http.proxy_authorization", "Proxy authorization", Kind::Text, "Who the client is, for the proxy (RFC 9110 §11.7.2).");
    WWW_AUTHENTICATE = Field::walked("http.www_authenticate", "Authenticate", Kind::Text, "How the server wants to be told who asks (RFC 9110 §11.6.1).").many();
    PROXY_AUTHENTICATE = Field::walked("http.proxy_authenticate", "Proxy authenticate", Kind::Text, "How the proxy wants to be told who asks (RFC 9110 §11.7.1).").many();
    X_FORWARDED_FOR = Field::walked("http.x_forwarded_for", "Forwarded for", Kind::Text, "For whom a proxy asks (see RFC 7239).").many();
    SERVER = Field::walked("http.server", "Server", Kind::Text, "The server's program (RFC 9110 §10.2.4).");
    DATE = Field::walked("http.date", "Date", Kind::Text, "When the message was made, by its sender's clock (RFC 9110 §6.6.1).");
    LOCATION = Field::walked("http.location", "Location", Kind::Text, "Where to look instead, or what was made (RFC 9110 §10.2.2).");
    LAST_MODIFIED = Field::walked("http.last_modified", "Last modified", Kind::Text, "When it last changed (RFC 9110 §8.8.2).");
    CACHE_CONTROL = Field::walked("http.cache_control", "Cache control", Kind::Text, "Whether and how long it may be kept (RFC 9111 §5.2).").many();
    CONTENT_TYPE = Field::walked("http.content_type", "Content type", Kind::Text, "What the body is (RFC 9110 §8.3).");
    CONTENT_ENCODING = Field::walked("http.content_encoding", "Content encoding", Kind::Text, "How the body was packed (RFC 9110 §8.4).").many();
    CONTENT_LENGTH_HEADER = Field::walked("http.content_length_header", "Content length", Kind::Text, "Bytes of body, as the line has it (RFC 9110 §8.6).");
    CONTENT_LENGTH = Field::walked("http.content_length", "Content length", Kind::Uint, "Bytes of body (RFC 9112 §6.2).");
    TRANSFER_ENCODING = Field::walked("http.transfer_encoding", "Transfer encoding", Kind::Text, "How the body is cut up to be sent: chunked (RFC 9112 §6.1).").many();
    WS_ACCEPT = Field::walked("http.sec_websocket_accept", "WebSocket accept", Kind::Text, "Proves that the server has read the key (RFC 6455 §4.2.2).");
    WS_EXTENSIONS = Field::walked("http.sec_websocket_extensions", "WebSocket extensions", Kind::Text, "Extensions that are offered, or agreed on (RFC 6455 §9.1).").many();
    WS_KEY = Field::walked("http.sec_websocket_key", "WebSocket key", Kind::Text, "A random number that the server's answer depends on (RFC 6455 §4.1).");
    WS_PROTOCOL = Field::walked("http.sec_websocket_protocol", "WebSocket protocol", Kind::Text, "What is spoken in the frames: offered, or chosen (RFC 6455 §1.9).").many();
    WS_VERSION = Field::walked("http.sec_websocket_version", "WebSocket version", Kind::Text, "13 (RFC 6455 §4.1).").many();
    REQUEST_NUMBER = Field::derived("http.request_number", "Request number", Kind::Uint, "Which request of the connection it is, counted from 1.");
    RESPONSE_NUMBER = Field::derived("http.response_number", "Response number", Kind::Uint, "Which response of the connection it is, counted from 1.");
    TIME = Field::derived("http.time", "Time since the request", Kind::Duration, "From the packet that ended the request's head to this one.");
    REQUEST_IN = Field::derived("http.request_in", "Answers packet", Kind::Uint, "The packet that ended the head of the request that is answered.");
}

/// Lines with a field of their own: the name in small letters.
pub(super) static NAMED: &[(&str, &Field)] = &[
    ("host", &HOST),
    ("user-agent", &USER_AGENT),
    ("accept", &ACCEPT),
    ("accept-language", &ACCEPT_LANGUAGE),
    ("accept-encoding", &ACCEPT_ENCODING),
    ("referer", &REFERER),
    ("connection", &CONNECTION),
    ("upgrade", &UPGRADE),
    ("cookie", &COOKIE),
    ("set-cookie", &SET_COOKIE),
    ("authorization", &AUTHORIZATION),
    ("proxy-authorization", &PROXY_AUTHORIZATION),
    ("www-authenticate", &WWW_AUTHENTICATE),
    ("proxy-authenticate", &PROXY_AUTHENTICATE),
    ("x-forwarded-for", &X_FORWARDED_FOR),
    ("server", &SERVER),
    ("date", &DATE),
    ("location", &LOCATION),
    ("last-modified", &LAST_MODIFIED),
    ("cache-control", &CACHE_CONTROL),
    ("content-type", &CONTENT_TYPE),
    ("content-encoding", &CONTENT_ENCODING),
    ("content-length", &CONTENT_LENGTH_HEADER),
    ("transfer-encoding", &TRANSFER_ENCODING),
    ("sec-websocket-accept", &WS_ACCEPT),
    ("sec-websocket-extensions", &WS_EXTENSIONS),
    ("sec-websocket-key", &WS_KEY),
    ("sec-websocket-protocol", &WS_PROTOCOL),
    ("sec-websocket-version", &WS_VERSION),
];

/// Status codes (IANA HTTP Status Code Registry).
pub(super) static CODES: &[(u64, &str)] = &[
    (100, "Continue"),
    (101, "Switching Protocols"),
    (102, "Processing"),
    (103, "Early Hints"),
    (200, "OK"),
    (201, "Created"),
    (202, "Accepted"),
    (203, "Non-Authoritative Information"),
    (204, "No Content"),
    (205, "Reset Content"),
    (206, "Partial Content"),
    (207, "Multi-Status"),
    (208, "Already Reported"),
    (226, "IM Used"),
    (300, "Multiple Choices"),
    (301, "Moved Permanently"),
    (302, "Found"),
    (303, "See Other"),
    (304, "Not Modified"),
    (305, "Use Proxy"),
    (307, "Temporary Redirect"),
    (308, "Permanent Redirect"),
    (400, "Bad Request"),
    (401, "Unauthorized"),
    (402, "Payment Required"),
    (403, "Forbidden"),
    (404, "Not Found"),
    (405, "Method Not Allowed"),
    (406, "Not Acceptable"),
    (407, "Proxy Authentication Required"),
    (408, "Request Timeout"),
    (409, "Conflict"),
    (410, "Gone"),
    (411, "Length Required"),
    (412, "Precondition Failed"),
    (413, "Content Too Large"),
    (414, "URI Too Long"),
    (415, "Unsupported Media Type"),
    (416, "Range Not Satisfiable"),
    (417, "Expectation Failed"),
    (421, "Misdirected Request"),
    (422, "Unprocessable Content"),
    (423, "Locked"),
    (424, "Failed Dependency"),
    (425, "Too Early"),
    (426, "Upgrade Required"),
    (428, "Precondition Required"),
    (429, "Too Many Requests"),
    (431, "Request Header Fields Too Large"),
    (451, "Unavailable For Legal Reasons"),
    (500, "Internal Server Error"),
    (501, "Not Implemented"),
    (502, "Bad Gateway"),
    (503, "Service Unavailable"),
    (504, "Gateway Timeout"),
    (505, "HTTP Version Not Supported"),
    (506, "Variant Also Negotiates"),
    (507, "Insufficient Storage"),
    (508, "Loop Detected"),
    (511, "Network Authentication Required"),
];
