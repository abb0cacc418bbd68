#include "base/err.h"
#include "drivers/mysql/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static void assert_text(const char *text, const char *expected)
{
	if (expected)
		assert_string_equal(text, expected);
	else
		assert_null(text);
}

static void parts_are_found(void **state)
{
	static const struct {
		const char *rest, *user, *host;
		unsigned port;
		const char *first, *second;
	} urls[] = {
		{"//", NULL, NULL, 0, NULL, NULL},
		{"///", NULL, NULL, 0, NULL, NULL},
		{"//host", NULL, "host", 0, NULL, NULL},
		{"//root@/shop", "root", NULL, 0, "shop", NULL},
		{"//:3307/", NULL, NULL, 3307, NULL, NULL},
		{"//u@db.example.org:3306/a,b", "u", "db.example.org", 3306, "a", "b"},
		{"//[::1]:3306/a", NULL, "::1", 3306, "a", NULL},
		{"//u%40corp@h/a%2Cb,c%2fd", "u@corp", "h", 0, "a,b", "c/d"},
		{"//h/a%25", NULL, "h", 0, "a%", NULL},
		{"//h/mail@home", NULL, "h", 0, "mail@home", NULL},
	};

	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		struct cf_mysql_url url;
		struct cf_err err = CF_ERR_INIT;

		assert_int_equal(cf_mysql_url_parse(urls[i].rest, &url, &err), 0);
		assert_text(url.user, urls[i].user);
		assert_text(url.host, urls[i].host);
		assert_int_equal(url.port, urls[i].port);
		assert_int_equal(url.n_databases, !!urls[i].first + !!urls[i].second);
		if (urls[i].first)
			assert_string_equal(url.databases[0], urls[i].first);
		if (urls[i].second)
			assert_string_equal(url.databases[1], urls[i].second);
		cf_mysql_url_release(&url);
	}
}

static void options_are_read(void **state)
{
	struct cf_mysql_url url;
	struct cf_err err = CF_ERR_INIT;

	assert_int_equal(cf_mysql_url_parse(
				 "//u@/d?socket=/run/my%20sql.sock&defaults-file=/etc/my.cnf&ssl=0&"
				 "ssl-ca=/ca&ssl-cert=/cert&ssl-key=/key&ssl-verify-server-cert=1&"
				 "connect-timeout=7",
				 &url, &err),
			 0);
	assert_string_equal(url.socket, "/run/my sql.sock");
	assert_string_equal(url.defaults_file, "/etc/my.cnf");
	assert_string_equal(url.ssl_ca, "/ca");
	assert_string_equal(url.ssl_cert, "/cert");
	assert_string_equal(url.ssl_key, "/key");
	assert_int_equal(url.ssl, 0);
	assert_int_equal(url.ssl_verify, 1);
	assert_int_equal(url.connect_timeout_s, 7);
	cf_mysql_url_release(&url);
	assert_int_equal(cf_mysql_url_parse("//h/d", &url, &err), 0);
	assert_int_equal(url.ssl, -1);
	assert_int_equal(url.ssl_verify, -1);
	cf_mysql_url_release(&url);
}

static void nonsense_is_refused(void **state)
{
	static const char *const urls[] = {
		"",
		"h",
		"/h",
		"//h:0/",
		"//h:65536/",
		"//h:x/",
		"//h:/",
		"//@h/",
		"//[::1",
		"//[::1]x",
		"//h/a,,b",
		"//h/,",
		"//h/a%2",
		"//h/a%zz",
		"//h/a%00",
		"//h/?nosuch",
		"//h/?socket",
		"//h/?socket=",
		"//h/?ssl=2",
		"//h/?ssl=",
		"//h/?socket=/s",
		"//:1/?socket=/s",
		"//h/?connect-timeout=0",
		"//h/?connect-timeout=4000",
		"//h:99999999999999999999/",
	};

	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		struct cf_mysql_url url;
		struct cf_err err = CF_ERR_INIT;

		assert_int_equal(cf_mysql_url_parse(urls[i], &url, &err), CF_ERR_USAGE);
		assert_memory_equal(err.text, "mysql: ", 7);
		cf_mysql_url_release(&url);
	}
}

static void passwords_are_refused_and_never_shown(void **state)
{
	static const char *const urls[] = {"//u:secret@h/d",	    "//u:sec/ret@h/d",
					   "//:secret@h/d",	    "//u:sec@ret@h/d",
					   "//h/d?password=secret", "//u:secret@[::1]:3306/"};

	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		struct cf_mysql_url url;
		struct cf_err err = CF_ERR_INIT;

		assert_int_equal(cf_mysql_url_parse(urls[i], &url, &err), CF_ERR_USAGE);
		assert_non_null(strstr(err.text, "MYSQL_PWD"));
		assert_null(strstr(err.text, "ret"));
		cf_mysql_url_release(&url);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_are_found),
		cmocka_unit_test(options_are_read),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(passwords_are_refused_and_never_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
