/* database.json and server.json: what goes in comes out, whatever bytes it holds; damage is named. */

#include "base/err.h"
#include "drivers/mysql/manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char latin1[] = "CREATE PROCEDURE `p`() SELECT 'caf\xe9'";

static void fill_table(struct cf_mysql_manifest *manifest)
{
	struct cf_mysql_table *table;

	assert_int_equal(cf_mysql_manifest_add_table(manifest, &table, NULL), 0);
	table->name = strdup("we\"ird\n`t`");
	table->file = strdup("we\"ird%0A`t`.sql");
	table->create = strdup("CREATE TABLE `x` (\n  `a` int\n)");
	table->engine = strdup("InnoDB");
	table->rows = 3;
	table->data_off = 400;
	table->data_len = 77;
	table->is_transactional = true;
	assert_int_equal(cf_mysql_table_add_column(table, "a", false, NULL), 0);
	assert_int_equal(cf_mysql_table_add_column(table, "b\xf0\x9f\x98\x80", true, NULL), 0);
}

static void fill(struct cf_mysql_manifest *manifest)
{
	struct cf_mysql_object *object;

	manifest->database = strdup("shop");
	manifest->character_set = strdup("utf8mb4");
	manifest->collation = strdup("utf8mb4_general_ci");
	fill_table(manifest);
	assert_int_equal(cf_mysql_manifest_add_object(manifest, &object, NULL), 0);
	object->kind = CF_MYSQL_PROCEDURE;
	object->name = strdup("p");
	object->create = strdup(latin1);
	object->session.character_set_client = strdup("latin1");
	assert_int_equal(cf_mysql_manifest_add_object(manifest, &object, NULL), 0);
	object->kind = CF_MYSQL_TRIGGER;
	object->name = strdup("tr");
	object->create = strdup("CREATE TRIGGER tr BEFORE INSERT ON x FOR EACH ROW SET @a=1");
	object->trigger.table = strdup("x");
	object->trigger.timing = strdup("BEFORE");
	object->trigger.event = strdup("INSERT");
	object->trigger.body = strdup("SET @a=1");
	assert_int_equal(cf_mysql_manifest_add_object(manifest, &object, NULL), 0);
	object->kind = CF_MYSQL_VIEW;
	object->name = strdup("v");
	object->create = strdup("CREATE VIEW `v` AS select 1 AS `a`");
	assert_int_equal(cf_mysql_object_add_column(object, "a", NULL), 0);
}

static void manifest_comes_back_whole(void **state)
{
	struct cf_mysql_manifest manifest = CF_MYSQL_MANIFEST_INIT, again = CF_MYSQL_MANIFEST_INIT;
	struct cf_buf out = CF_BUF_INIT, twice = CF_BUF_INIT;

	fill(&manifest);
	assert_int_equal(cf_mysql_manifest_encode(&manifest, &out, NULL), 0);
	assert_int_equal(cf_mysql_manifest_decode(cf_buf_span(&out), &again, NULL), 0);
	assert_string_equal(again.database, "shop");
	assert_null(again.comment);
	assert_int_equal(again.n_tables, 1);
	assert_string_equal(again.tables[0].name, "we\"ird\n`t`");
	assert_int_equal(again.tables[0].data_len, 77);
	assert_true(again.tables[0].is_transactional);
	assert_false(again.tables[0].has_history);
	assert_int_equal(again.tables[0].n_columns, 2);
	assert_true(again.tables[0].columns[1].is_hex);
	assert_int_equal(again.n_objects, 3);
	assert_string_equal(again.objects[0].create, latin1);
	assert_string_equal(again.objects[1].trigger.body, "SET @a=1");
	assert_string_equal(again.objects[2].columns[0], "a");
	assert_int_equal(cf_mysql_manifest_encode(&again, &twice, NULL), 0);
	assert_int_equal(out.len, twice.len);
	assert_memory_equal(out.data, twice.data, out.len);
	cf_mysql_manifest_release(&manifest);
	cf_mysql_manifest_release(&again);
	cf_buf_release(&out);
	cf_buf_release(&twice);
}

static void server_comes_back_whole(void **state)
{
	struct cf_mysql_server server = CF_MYSQL_SERVER_INIT, again = CF_MYSQL_SERVER_INIT;
	struct cf_buf out = CF_BUF_INIT;

	server.version = strdup("10.11.19-MariaDB");
	server.flavour = strdup("mariadb");
	server.lower_case_table_names = 1;
	assert_int_equal(cf_mysql_server_add_database(&server, "a/b", NULL), 0);
	assert_int_equal(cf_mysql_server_add_fact(&server, "binlog_file", "bl.000001", NULL), 0);
	assert_int_equal(cf_mysql_server_encode(&server, &out, NULL), 0);
	assert_int_equal(cf_mysql_server_decode(cf_buf_span(&out), &again, NULL), 0);
	assert_string_equal(again.version, "10.11.19-MariaDB");
	assert_int_equal(again.lower_case_table_names, 1);
	assert_string_equal(again.databases[0].name, "a/b");
	assert_string_equal(again.databases[0].folder, "a%2Fb");
	assert_string_equal(again.facts[0].value, "bl.000001");
	cf_mysql_server_release(&server);
	cf_mysql_server_release(&again);
	cf_buf_release(&out);
}

#define HEAD                                                                                                 \
	"{\"format\":\"coffer mysql database\",\"version\":1,\"name\":\"d\",\"character_set\":\"c\","        \
	"\"collation\":\"c\","

static void bad_manifest_is_refused(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *says;
	} cases[] = {
		{"", CF_ERR_DAMAGED, "no JSON"},
		{"[]", CF_ERR_DAMAGED, "is not a coffer mysql database"},
		{"{\"format\":\"coffer mysql database\",\"version\":2}", CF_ERR_UNSUPPORTED, "newer"},
		{HEAD "\"tables\":[]}", CF_ERR_DAMAGED, "objects"},
		{HEAD "\"tables\":[1],\"objects\":[]}", CF_ERR_DAMAGED, "name"},
		{HEAD "\"tables\":[],\"objects\":[{\"kind\":\"x\"}]}", CF_ERR_UNSUPPORTED, "\"x\""},
		{HEAD "\"tables\":[],\"objects\":[{\"kind\":\"event\",\"name_hex\":\"6g\"}]}", CF_ERR_DAMAGED,
		 "hex"},
		{HEAD "\"tables\":[],\"objects\":[{\"kind\":\"event\",\"name_hex\":\"6100\"}]}",
		 CF_ERR_DAMAGED, "hex"},
		{HEAD "\"tables\":[],\"objects\":[{\"kind\":\"trigger\",\"name\":\"t\",\"create\":\"x\"}]}",
		 CF_ERR_DAMAGED, "parts of trigger t"},
		{HEAD "\"tables\":[{\"name\":\"t\",\"create\":\"x\",\"file\":\"../t\",\"columns\":[],\"rows\":0,"
		      "\"data_offset\":0,\"data_length\":0}],\"objects\":[]}",
		 CF_ERR_DAMAGED, "../t"},
		{HEAD "\"tables\":[{\"name\":\"t\",\"create\":\"x\",\"columns\":[],\"rows\":0,"
		      "\"data_offset\":0,\"data_length\":1}],\"objects\":[]}",
		 CF_ERR_DAMAGED, "table t"},
		{HEAD "\"tables\":[{\"name\":\"t\",\"create\":\"x\",\"columns\":[],\"rows\":-1,"
		      "\"data_offset\":0,\"data_length\":0}],\"objects\":[]}",
		 CF_ERR_DAMAGED, "rows"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cf_mysql_manifest manifest = CF_MYSQL_MANIFEST_INIT;
		struct cf_err err = CF_ERR_INIT;

		assert_int_equal(cf_mysql_manifest_decode(cf_span_str(cases[i].text), &manifest, &err),
				 cases[i].code);
		assert_non_null(strstr(err.text, cases[i].says));
		assert_non_null(strstr(err.text, "database.json"));
		assert_null(manifest.database);
		assert_int_equal(manifest.n_tables, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(manifest_comes_back_whole),
		cmocka_unit_test(server_comes_back_whole),
		cmocka_unit_test(bad_manifest_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
