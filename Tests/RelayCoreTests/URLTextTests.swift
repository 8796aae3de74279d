// What of a URL is shown to people.

import RelayCore
import Testing

@Suite("URLs as text")
struct URLTextTests {
    @Test(
        "userinfo is cut from a URL, valid or not",
        arguments: [
            ("http://u:p@h/x", "http://***@h/x"), ("http://h/x", "http://h/x"), ("u:p@h", "***@h"), ("@bob", "@bob"),
            ("http://a@b@h", "http://***@h"), ("http://u:p@h:1/x?to=a@b", "http://***@h:1/x?to=a@b"),
            // A password with a slash in it, which no URL can have.
            ("http://u:p/w@h", "http://***@h"), ("http://u:p?w@h/x", "http://***@h/x"),
            // No authority, as somebody writes it who forgets a slash, or writes one more.
            ("https:/u:p@h/x", "***@h/x"), ("//u:p@h/x", "***@h/x"), ("https:u:p@h", "***@h"),
            ("https:///u:p@h/x", "https://***@h/x"), ("https:/u:p@h/?to=http://a", "***@h/?to=http://a"),
        ])
    func userinfo(_ url: String, _ shown: String) {
        #expect(url.withoutUserinfo == shown)
    }

    @Test(
        "an @ behind the authority is shown",
        arguments: [
            "https://h.example/x?to=ops@a.b", "https://h.example:8443/@team", "http://[::1]/x@y", "http://[::1]:80/x@y",
            "https://h.example#a@b", "",
        ])
    func elsewhere(_ url: String) {
        #expect(url.withoutUserinfo == url)
    }
}
