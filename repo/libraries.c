#include "repo/libraries.h"

#include <openssl/crypto.h>
#include <sodium.h>
#include <sqlite3.h>
#include <zstd.h>

int cf_libraries_append(struct cf_buf *out, struct cf_err *err)
{
	return cf_buf_printf(out, err, "zstd %s, OpenSSL %s, libsodium %s, SQLite %s",
			     ZSTD_versionString(), OpenSSL_version(OPENSSL_VERSION_STRING),
			     sodium_version_string(), sqlite3_libversion());
}
