# libcurl as Debian builds it for programs that cannot be linked with OpenSSL.
import io
import sys

import pycurl

host, port, version, offer, retry, ca, cert, key = sys.argv[1:]
if "GnuTLS" not in pycurl.version:
    sys.exit("not GnuTLS: " + pycurl.version)
curl = pycurl.Curl()
curl.setopt(pycurl.URL, f"https://localhost:{port}/")
curl.setopt(pycurl.RESOLVE, [f"localhost:{port}:{host}"])
curl.setopt(pycurl.CAINFO, ca)
curl.setopt(pycurl.SSLVERSION, {
    "1.2": pycurl.SSLVERSION_TLSv1_2 | pycurl.SSLVERSION_MAX_TLSv1_2,
    "1.3": pycurl.SSLVERSION_TLSv1_3 | pycurl.SSLVERSION_MAX_TLSv1_3,
}[version])
if cert != "-":
    curl.setopt(pycurl.SSLCERT, cert)
    curl.setopt(pycurl.SSLKEY, key)
for _ in range(3):
    page = io.BytesIO()
    curl.setopt(pycurl.WRITEDATA, page)
    curl.perform()
    if b"page" not in page.getvalue():
        sys.exit(f"page {page.getvalue()}")
    print("answered")
