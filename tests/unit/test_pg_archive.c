/* Archives of pg_dump: reading them in each version, the scripts of tables, other names, and the
 * manifest. */

#include "base/err.h"
#include "drivers/pattern.h"
#include "drivers/postgres/graph.h"
#include "drivers/postgres/load.h"
#include "drivers/postgres/manifest.h"
#include "drivers/postgres/script.h"
#include "drivers/postgres/settle.h"
#include "drivers/postgres/sql.h"
#include "drivers/postgres/toc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DEPS_MAX 6

/* What a test's archive holds. */
struct item {
	int id;
	unsigned catalog, oid;
	const char *tag, *desc;
	int section;
	const char *schema, *defn, *drop;
	int deps[DEPS_MAX]; /* ended by 0 */
};

enum { NONE = CF_PG_SECTION_NONE, PRE = CF_PG_SECTION_PRE_DATA, POST = CF_PG_SECTION_POST_DATA };

static const struct item shop[] = {
	{1, 0, 0, "ENCODING", "ENCODING", PRE, NULL, "SET client_encoding = 'UTF8';\n", NULL, {0}},
	{2,
	 2615,
	 20,
	 "shop",
	 "SCHEMA",
	 PRE,
	 NULL,
	 "CREATE SCHEMA shop;\n",
	 "DROP SCHEMA shop;\n",
	 {0}},
	{3,
	 1247,
	 30,
	 "mood",
	 "TYPE",
	 PRE,
	 "shop",
	 "CREATE TYPE shop.mood AS ENUM ('ok');\n",
	 "DROP TYPE shop.mood;\n",
	 {2}},
	{4,
	 1247,
	 31,
	 "lone",
	 "TYPE",
	 PRE,
	 "shop",
	 "CREATE TYPE shop.lone AS ENUM ('x');\n",
	 "",
	 {2}},
	{5,
	 1259,
	 40,
	 "customers",
	 "TABLE",
	 PRE,
	 "shop",
	 "CREATE TABLE shop.customers (id integer);\n",
	 "",
	 {2}},
	{6,
	 1259,
	 41,
	 "orders",
	 "TABLE",
	 PRE,
	 "shop",
	 "CREATE TABLE shop.orders (id integer, m shop.mood);\n",
	 "",
	 {3, 2}},
	{7,
	 0,
	 0,
	 "TABLE orders",
	 "COMMENT",
	 NONE,
	 "shop",
	 "COMMENT ON TABLE shop.orders IS 'shop.orders';\n",
	 NULL,
	 {6}},
	{8,
	 1259,
	 42,
	 "orders_id_seq",
	 "SEQUENCE",
	 PRE,
	 "shop",
	 "CREATE SEQUENCE shop.orders_id_seq;\n",
	 "",
	 {2, 6}},
	{9,
	 0,
	 0,
	 "orders_id_seq",
	 "SEQUENCE OWNED BY",
	 PRE,
	 "shop",
	 "ALTER SEQUENCE shop.orders_id_seq OWNED BY shop.orders.id;\n",
	 NULL,
	 {8}},
	{10,
	 1259,
	 43,
	 "ev",
	 "TABLE",
	 PRE,
	 "shop",
	 "CREATE TABLE shop.ev (at date)\nPARTITION BY RANGE (at);\n",
	 "",
	 {2}},
	{11,
	 1259,
	 44,
	 "ev1",
	 "TABLE",
	 PRE,
	 "shop",
	 "CREATE TABLE shop.ev1 (at date);\n",
	 "",
	 {2, 10}},
	{12,
	 0,
	 0,
	 "ev1",
	 "TABLE ATTACH",
	 PRE,
	 "shop",
	 "ALTER TABLE ONLY shop.ev ATTACH PARTITION shop.ev1 DEFAULT;\n",
	 NULL,
	 {11, 10}},
	{13,
	 2604,
	 50,
	 "orders id",
	 "DEFAULT",
	 PRE,
	 "shop",
	 "ALTER TABLE ONLY shop.orders ALTER COLUMN id SET DEFAULT "
	 "nextval('shop.orders_id_seq'::regclass);\n",
	 "",
	 {8, 6}},
	{14,
	 2606,
	 51,
	 "customers customers_pkey",
	 "CONSTRAINT",
	 POST,
	 "shop",
	 "ALTER TABLE ONLY shop.customers\n    ADD CONSTRAINT customers_pkey PRIMARY KEY (id);\n",
	 "",
	 {5}},
	{15,
	 2606,
	 52,
	 "orders orders_pkey",
	 "CONSTRAINT",
	 POST,
	 "shop",
	 "ALTER TABLE ONLY shop.orders\n    ADD CONSTRAINT orders_pkey PRIMARY KEY (id);\n",
	 "",
	 {6}},
	{16,
	 1259,
	 53,
	 "by_mood",
	 "INDEX",
	 POST,
	 "shop",
	 "CREATE INDEX by_mood ON shop.orders USING btree (m);\n",
	 "",
	 {6}},
	{17,
	 2606,
	 54,
	 "orders orders_customer_fkey",
	 "FK CONSTRAINT",
	 POST,
	 "shop",
	 "ALTER TABLE ONLY shop.orders\n    ADD CONSTRAINT orders_customer_fkey FOREIGN KEY (id) "
	 "REFERENCES shop.customers(id);\n",
	 "",
	 {6, 14, 5}},
	{18,
	 2606,
	 55,
	 "orders orders_self_fkey",
	 "FK CONSTRAINT",
	 POST,
	 "shop",
	 "ALTER TABLE ONLY shop.orders\n    ADD CONSTRAINT orders_self_fkey FOREIGN KEY (id) "
	 "REFERENCES shop.orders(id);\n",
	 "",
	 {6, 15}},
	{19,
	 0,
	 0,
	 "TABLE orders",
	 "ACL",
	 NONE,
	 "shop",
	 "GRANT SELECT ON TABLE shop.orders TO app;\n",
	 NULL,
	 {6}},
};

#define N_SHOP (sizeof(shop) / sizeof(shop[0]))

/* --- an archive in bytes --- */

static void put_int(struct cf_buf *out, int value)
{
	unsigned magnitude = value < 0 ? (unsigned)-value : (unsigned)value;
	unsigned char bytes[5] = {value < 0, (unsigned char)magnitude,
				  (unsigned char)(magnitude >> 8), (unsigned char)(magnitude >> 16),
				  (unsigned char)(magnitude >> 24)};

	assert_int_equal(cf_buf_append(out, bytes, sizeof(bytes), NULL), 0);
}

static void put_text(struct cf_buf *out, const char *text)
{
	put_int(out, text ? (int)strlen(text) : -1);
	if (text)
		assert_int_equal(cf_buf_append_str(out, text, NULL), 0);
}

static void put_number(struct cf_buf *out, unsigned number)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", number);
	put_text(out, text);
}

static void put_item(struct cf_buf *out, const struct item *item, int minor)
{
	static const char place[9] = {3};

	put_int(out, item->id);
	put_int(out, 0);
	put_number(out, item->catalog);
	put_number(out, item->oid);
	put_text(out, item->tag);
	put_text(out, item->desc);
	put_int(out, item->section);
	put_text(out, item->defn);
	put_text(out, item->drop);
	put_text(out, NULL);
	put_text(out, item->schema);
	put_text(out, "");
	if (minor >= 14)
		put_text(out, "heap");
	if (minor >= 16)
		put_int(out, 'r');
	put_text(out, "owner");
	put_text(out, "false");
	for (int i = 0; i < DEPS_MAX && item->deps[i]; i++)
		put_number(out, (unsigned)item->deps[i]);
	put_text(out, NULL);
	assert_int_equal(cf_buf_append(out, place, sizeof(place), NULL), 0);
}

static void put_archive(struct cf_buf *out, int minor)
{
	const char head[] = {'P', 'G', 'D', 'M', 'P', 1, (char)minor, 0, 4, 8, 1};

	assert_int_equal(cf_buf_append(out, head, sizeof(head), NULL), 0);
	if (minor >= 15)
		assert_int_equal(cf_buf_append(out, "", 1, NULL), 0);
	else
		put_int(out, 0);
	for (int i = 0; i < 7; i++)
		put_int(out, i);
	put_text(out, "db");
	put_text(out, "15.20");
	put_text(out, "15.20");
	put_int(out, (int)N_SHOP);
	for (size_t i = 0; i < N_SHOP; i++)
		put_item(out, &shop[i], minor);
}

static struct cf_pg_toc *read_shop(void)
{
	struct cf_buf archive = CF_BUF_INIT;
	struct cf_pg_toc *toc = NULL;

	put_archive(&archive, 14);
	assert_int_equal(cf_pg_toc_decode(cf_buf_span(&archive), &toc, NULL), 0);
	cf_buf_release(&archive);
	return toc;
}

/* Of the only text that is not ASCII; again NULL for one that stays. */
static int shout(void *user, const char *text, struct cf_buf *out, struct cf_err *err)
{
	const char *instead = user;

	assert_string_equal(text, "caf\xe9");
	return instead ? cf_buf_append(out, instead, strlen(instead) + 1, err) : 0;
}

static void texts_are_converted_but_for_ascii(void **state)
{
	struct cf_pg_toc *toc = read_shop();
	char word[] = "caf\xc3\xa9";
	const char *tag = toc->entries[1].tag, *defn = toc->entries[0].defn;

	toc->entries[0].nspname = "caf\xe9";
	assert_int_equal(cf_pg_toc_convert(toc, shout, NULL, NULL), 0);
	assert_string_equal(toc->entries[0].nspname, "caf\xe9");
	assert_int_equal(cf_pg_toc_convert(toc, shout, word, NULL), 0);
	assert_string_equal(toc->entries[0].nspname, word);
	assert_ptr_equal(toc->entries[1].tag, tag);
	assert_ptr_equal(toc->entries[0].defn, defn);
	cf_pg_toc_free(toc);
}

static void every_version_reads_the_same(void **state)
{
	for (int minor = 12; minor <= 16; minor++) {
		struct cf_buf archive = CF_BUF_INIT;
		struct cf_pg_toc *toc = NULL;

		put_archive(&archive, minor);
		assert_int_equal(cf_pg_toc_decode(cf_buf_span(&archive), &toc, NULL), 0);
		assert_int_equal(toc->version, 0x100 + minor);
		assert_string_equal(toc->database, "db");
		assert_int_equal(toc->n_entries, N_SHOP);
		for (size_t i = 0; i < N_SHOP; i++) {
			const struct cf_pg_toc_entry *entry = &toc->entries[i];
			size_t n_deps = 0;

			while (n_deps < DEPS_MAX && shop[i].deps[n_deps])
				n_deps++;
			assert_int_equal(entry->dump_id, shop[i].id);
			assert_int_equal(entry->oid, shop[i].oid);
			assert_string_equal(entry->defn, shop[i].defn);
			assert_int_equal(entry->n_deps, n_deps);
			assert_true(!entry->nspname == !shop[i].schema);
			assert_int_equal(entry->relkind, minor >= 16 ? 'r' : 0);
		}
		cf_pg_toc_free(toc);
		cf_buf_release(&archive);
	}
}

static void other_versions_are_refused(void **state)
{
	const int minors[] = {0, 11, 17, 99};

	for (size_t i = 0; i < sizeof(minors) / sizeof(minors[0]); i++) {
		struct cf_buf archive = CF_BUF_INIT;
		struct cf_pg_toc *toc = NULL;

		put_archive(&archive, minors[i]);
		assert_int_equal(cf_pg_toc_decode(cf_buf_span(&archive), &toc, NULL),
				 CF_ERR_UNSUPPORTED);
		cf_buf_release(&archive);
	}
}

static void cut_archive_is_damaged(void **state)
{
	struct cf_buf archive = CF_BUF_INIT;

	put_archive(&archive, 16);
	for (size_t len = 0; len < archive.len; len++) {
		struct cf_pg_toc *toc = NULL;

		assert_int_equal(cf_pg_toc_decode(cf_span_of(archive.data, len), &toc, NULL),
				 CF_ERR_DAMAGED);
	}
	cf_buf_release(&archive);
}

/* --- scripts --- */

static char *script_of(uint32_t oid)
{
	struct cf_pg_sequence sequence = {.schema = "shop",
					  .name = "orders_id_seq",
					  .oid = 42,
					  .last_value = 7,
					  .is_called = true};
	struct cf_pg_manifest manifest = {.sequences = &sequence, .n_sequences = 1};
	struct cf_buf before = CF_BUF_INIT, after = CF_BUF_INIT;
	struct cf_pg_script *script = NULL;
	struct cf_pg_toc *toc = read_shop();

	assert_int_equal(cf_pg_script_new(toc, &manifest, "key", &script, NULL), 0);
	assert_int_equal(
		cf_pg_script_table(script, oid, "COPY t FROM stdin;", &before, &after, NULL), 0);
	assert_int_equal(cf_buf_append(&before, after.data, after.len, NULL), 0);
	assert_int_equal(cf_buf_append(&before, "", 1, NULL), 0);
	cf_buf_release(&after);
	cf_pg_script_free(script);
	cf_pg_toc_free(toc);
	return (char *)before.data;
}

/* Each is in the script, and in this order. */
static void expect_order(const char *script, const char *const *parts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *found = strstr(script, parts[i]);

		if (!found)
			fail_msg("not there, or out of order: %s", parts[i]);
		script = found + strlen(parts[i]);
	}
}

static void script_has_what_its_table_needs(void **state)
{
	static const char *const parts[] = {
		"\\restrict key\n",
		"SET coffer.kept = ' ';\n",
		"DO $do1$ BEGIN\n\tEXECUTE $sql1$\nCREATE SCHEMA shop;\n$sql1$;\nEXCEPTION WHEN duplicate_schema",
		"CREATE TYPE shop.mood",
		"EXCEPTION WHEN ",
		"END $do1$;\n\nCREATE TABLE shop.orders",
		"COMMENT ON TABLE shop.orders",
		"CREATE SEQUENCE shop.orders_id_seq",
		"OWNED BY",
		"SET DEFAULT nextval",
		"COPY t FROM stdin;\n\\.\n",
		"setval('\"shop\".\"orders_id_seq\"', 7, true);",
		"ADD CONSTRAINT orders_pkey",
		"CREATE INDEX by_mood",
		"orders_self_fkey",
		"\\unrestrict key\n",
	};
	char *script = script_of(41);

	expect_order(script, parts, sizeof(parts) / sizeof(parts[0]));
	free(script);
}

static void script_leaves_others_out(void **state)
{
	static const char *const parts[] = {"shop.lone", "shop.customers", "GRANT",
					    "orders_customer_fkey", "owner"};
	char *script = script_of(41);

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strstr(script, parts[i]))
			fail_msg("does not belong there: %s", parts[i]);
	free(script);
}

static void partition_is_a_plain_table(void **state)
{
	char *script = script_of(44);

	assert_non_null(strstr(script, "CREATE TABLE shop.ev1 "));
	assert_null(strstr(script, "CREATE TABLE shop.ev "));
	assert_null(strstr(script, "ATTACH"));
	free(script);
}

/* --- SQL --- */

static void tokens_know_quotes(void **state)
{
	static const struct {
		const char *sql;
		enum cf_sql_kind kind;
	} cases[] = {
		{"word$1", CF_SQL_WORD},
		{"\"a\"\"b.c\"", CF_SQL_QUOTED},
		{"U&\"d\\0061t\"", CF_SQL_QUOTED},
		{"'it''s \\'", CF_SQL_STRING},
		{"E'it\\'s'", CF_SQL_STRING},
		{"$$ 'x $a$ $$", CF_SQL_DOLLAR},
		{"$tag$ $$ \" $tag$", CF_SQL_DOLLAR},
		{"-- a 'comment\n ", CF_SQL_SPACE},
		{"/* one /* in */ another */", CF_SQL_SPACE},
		{"12.5", CF_SQL_NUMBER},
		{";", CF_SQL_OTHER},
		{"\xc3\xa4pfel", CF_SQL_WORD},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *at = cases[i].sql;
		struct cf_sql_token token = cf_sql_next(&at);

		assert_int_equal(token.kind, cases[i].kind);
		assert_int_equal(token.len, strlen(cases[i].sql));
		assert_int_equal(cf_sql_next(&at).kind, CF_SQL_END);
	}
}

/* Pairs as PostgreSQL 15 writes them before and after they are read once; and what is none. */
static void casts_of_arrays_and_roles_of_policies_are_settled(void **state)
{
	static const struct {
		const char *sql, *settled;
	} cases[] = {
		{"CHECK (((s)::text = ANY ((ARRAY['a'::character varying, 'b]'::character varying])::text[])))",
		 "CHECK (((s)::text = ANY (ARRAY[('a'::character varying)::text, ('b]'::character varying)::text])))"},
		{"(s::text = ANY (ARRAY['a'::character varying, 'b'::character varying]::text[]))",
		 "(s::text = ANY (ARRAY['a'::character varying::text, 'b'::character varying::text]))"},
		{"(ARRAY[f(a, b[1]), 2])::\"S\".\"odd, type\"[]",
		 "ARRAY[(f(a, b[1]))::\"S\".\"odd, type\", (2)::\"S\".\"odd, type\"]"},
		{"(ARRAY[now()])::timestamp(3) without time zone[] || x",
		 "ARRAY[(now())::timestamp(3) without time zone] || x"},
		{"(ARRAY[g((ARRAY[1])::bigint[])])::text[]", "ARRAY[(g(ARRAY[(1)::bigint]))::text]"},
		{"f(ARRAY[1])::text[]", NULL},
		{"'(ARRAY[1])::text[]' || $$(ARRAY[1])::text[]$$", NULL},
		{"ARRAY['a'::text, 'b'::text]", NULL},
		{"(ARRAY[1])::text", NULL},
		{"(ARRAY[1)::text[]", NULL},
		{"(ARRAY[1", NULL},
		{"ARRAY[]::text[] array", "ARRAY[::text] array"},
		{"", NULL},
		{"CREATE POLICY p ON s.t FOR SELECT TO b, \"A, c\", a, aa USING ((x = ANY (ARRAY[1])));",
		 "CREATE POLICY p ON s.t FOR SELECT TO \"A, c\", a, aa, b USING ((x = ANY (ARRAY[1])));"},
		{"CREATE POLICY \"TO\" ON s.t TO b,", "CREATE POLICY \"TO\" ON s.t TO , b"},
		{"CREATE POLICY p ON s.t USING (b TO a, a);", NULL},
		{"CREATE POLICY p", NULL},
		{"CREATE TEXT SEARCH DICTIONARY s.d (\n    TEMPLATE = pg_catalog.simple,\n    \"stopwords\" = '\"a\"', \"O\" = 1 );\n",
		 "CREATE TEXT SEARCH DICTIONARY s.d (\n    TEMPLATE = pg_catalog.simple,\n    stopwords = '\"a\"', \"O\" = 1 );\n"},
		{"CREATE TEXT SEARCH DICTIONARY s.d (\"", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cf_buf text = CF_BUF_INIT;

		assert_int_equal(cf_pg_settle(cases[i].sql, &text, NULL), 0);
		assert_string_equal((const char *)text.data,
				    cases[i].settled ? cases[i].settled : cases[i].sql);
		cf_buf_release(&text);
	}
}

static void statements_about_a_database_are_in_the_words_of_its_server(void **state)
{
	static const char create[] = "CREATE DATABASE d WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = libc"
				     " LOCALE = 'C.UTF-8' TABLESPACE = locale;";
	static const struct {
		const char *sql, *wanted;
		struct cf_sql_database database;
	} cases[] = {
		{create,
		 "CREATE DATABASE \"n \"\"m\" WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = libc"
		 " LOCALE = 'C.UTF-8' TABLESPACE = locale;",
		 {"n \"m", 150000, false}},
		{create,
		 "CREATE DATABASE \"n\" WITH TEMPLATE = template0 ENCODING = 'UTF8'  LOCALE = 'C.UTF-8' ;",
		 {"n", 140023, true}},
		{create,
		 "CREATE DATABASE \"n\" WITH TEMPLATE = template0 ENCODING = 'UTF8'  LC_COLLATE = 'C.UTF-8' LC_CTYPE = 'C.UTF-8'"
		 " TABLESPACE = locale;",
		 {"n", 120022, false}},
		{"GRANT CONNECT ON DATABASE d TO locale, tablespace;", "GRANT CONNECT ON DATABASE \"n\" TO locale, tablespace;",
		 {"n", 120022, true}},
		{"ALTER DATABASE \"d\" SET x.y TO 'LOCALE = DATABASE d';",
		 "ALTER DATABASE \"n\" SET x.y TO 'LOCALE = DATABASE d';",
		 {"n", 120022, true}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cf_buf sql = CF_BUF_INIT;

		assert_int_equal(cf_sql_append_for_database(cases[i].sql, &cases[i].database, &sql, NULL), 0);
		assert_int_equal(cf_buf_append(&sql, "", 1, NULL), 0);
		assert_string_equal((const char *)sql.data, cases[i].wanted);
		cf_buf_release(&sql);
	}
}

static void quoted_names_read_back(void **state)
{
	static const char *const names[] = {"plain",	 "Odd Name",	"q\"uote", "a.b",
					    "line\nend", "back\\slash", "''"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct cf_buf sql = CF_BUF_INIT, name = CF_BUF_INIT;
		struct cf_sql_token token;
		const char *at;

		assert_int_equal(cf_sql_append_name(names[i], &sql, NULL), 0);
		assert_int_equal(cf_buf_append(&sql, "", 1, NULL), 0);
		at = (const char *)sql.data;
		token = cf_sql_next(&at);
		assert_int_equal(cf_sql_name_of(&token, &name, NULL), 0);
		assert_string_equal((const char *)name.data, names[i]);
		cf_buf_release(&sql);
		cf_buf_release(&name);
	}
}

/* --- other names --- */

struct renaming {
	struct cf_pg_load load;
	struct cf_load_options options;
};

static void begin_renaming(struct renaming *r, const char *rename)
{
	const char *const texts[] = {rename};

	*r = (struct renaming){0};
	r->load.options = &r->options;
	r->load.toc = read_shop();
	assert_int_equal(cf_pg_graph_new(r->load.toc, &r->load.graph, NULL), 0);
	assert_int_equal(cf_renames_parse(texts, 1, CF_PATTERN_POSTGRES, &r->load.renames, NULL),
			 0);
	assert_int_equal(cf_pg_set_init(r->load.graph, &r->load.set, NULL), 0);
	if (strchr(rename, '.')) {
		cf_pg_set_choose(&r->load.set, cf_pg_graph_relation(r->load.graph, 41));
	} else {
		for (size_t i = 1; i < N_SHOP; i++)
			cf_pg_set_choose(&r->load.set, i);
	}
	cf_pg_set_close(r->load.graph, &r->load.set);
	assert_int_equal(cf_pg_load_name_all(&r->load, NULL), 0);
}

static void end_renaming(struct renaming *r)
{
	cf_pg_load_release_names(&r->load);
	cf_pg_load_release_selection(&r->load);
}

static void expect_renamed(struct renaming *r, int id, const char *sql, const char *wanted)
{
	size_t index = cf_pg_graph_entry(r->load.graph, id);
	struct cf_buf out = CF_BUF_INIT;

	assert_int_equal(
		cf_pg_load_rename_sql(&r->load, &r->load.toc->entries[index], sql, &out, NULL), 0);
	assert_int_equal(cf_buf_append(&out, "", 1, NULL), 0);
	assert_string_equal((const char *)out.data, wanted);
	cf_buf_release(&out);
}

static void table_takes_its_satellites_along(void **state)
{
	struct renaming r;

	begin_renaming(&r, "shop.orders=shop.old");
	expect_renamed(&r, 6, shop[5].defn,
		       "CREATE TABLE \"shop\".\"old\" (id integer, m shop.mood);\n");
	expect_renamed(&r, 7, shop[6].defn,
		       "COMMENT ON TABLE \"shop\".\"old\" IS 'shop.orders';\n");
	expect_renamed(&r, 9, shop[8].defn,
		       "ALTER SEQUENCE \"shop\".\"old_id_seq\" OWNED BY \"shop\".\"old\".id;\n");
	expect_renamed(&r, 13, "SET DEFAULT nextval('shop.orders_id_seq'::regclass)",
		       "SET DEFAULT nextval('\"shop\".\"old_id_seq\"'::regclass)");
	expect_renamed(
		&r, 15, "ALTER TABLE ONLY shop.orders ADD CONSTRAINT orders_pkey PRIMARY KEY (id)",
		"ALTER TABLE ONLY \"shop\".\"old\" ADD CONSTRAINT \"old_pkey\" PRIMARY KEY (id)");
	expect_renamed(&r, 16, "CREATE INDEX by_mood ON shop.orders (m)",
		       "CREATE INDEX \"old_by_mood\" ON \"shop\".\"old\" (m)");
	expect_renamed(&r, 17, "REFERENCES shop.customers(id)", "REFERENCES shop.customers(id)");
	end_renaming(&r);
}

static void another_schema_keeps_names(void **state)
{
	struct renaming r;

	begin_renaming(&r, "shop.orders=attic.orders");
	expect_renamed(&r, 6, shop[5].defn,
		       "CREATE TABLE \"attic\".\"orders\" (id integer, m shop.mood);\n");
	expect_renamed(&r, 16, "CREATE INDEX by_mood ON shop.orders (m)",
		       "CREATE INDEX \"by_mood\" ON \"attic\".\"orders\" (m)");
	expect_renamed(&r, 13, "nextval('shop.orders_id_seq'::regclass)",
		       "nextval('\"attic\".\"orders_id_seq\"'::regclass)");
	end_renaming(&r);
}

static void schema_is_renamed_everywhere_but_in_texts(void **state)
{
	struct renaming r;

	begin_renaming(&r, "shop=\"New Shop\"");
	expect_renamed(&r, 2, "CREATE SCHEMA shop", "CREATE SCHEMA \"New Shop\"");
	expect_renamed(&r, 6, "CREATE TABLE shop.orders (m shop.mood DEFAULT 'shop.mood')",
		       "CREATE TABLE \"New Shop\".\"orders\" (m \"New Shop\".\"mood\" DEFAULT "
		       "'shop.mood')");
	expect_renamed(&r, 6, "SELECT shop.price, a.shop.orders FROM other.t shop",
		       "SELECT shop.price, a.shop.orders FROM other.t shop");
	expect_renamed(&r, 6, "AS $$ shop.orders $$ -- shop.orders",
		       "AS $$ shop.orders $$ -- shop.orders");
	end_renaming(&r);
}

/* --- manifest --- */

static void manifest_keeps_every_byte(void **state)
{
	const char *const columns[] = {"a", "\xff\xfe"};
	struct cf_pg_table table = {.schema = "s\n",
				    .name = "\x80t",
				    .oid = 4000000000u,
				    .kind = 'r',
				    .columns = columns,
				    .n_columns = 2,
				    .file = "tables/s.t.copy",
				    .rows = 3,
				    .bytes = 9};
	struct cf_pg_sequence sequence = {
		.schema = "s", .name = "q", .oid = 5, .last_value = INT64_MIN};
	struct cf_pg_large_object large = {
		.oid = 6, .owner = "o", .comment = "", .file = "large-objects/6"};
	struct cf_pg_manifest manifest = {.name = "db",
					  .encoding = "SQL_ASCII",
					  .data_encoding = "SQL_ASCII",
					  .server_version = 150020,
					  .tables = &table,
					  .n_tables = 1,
					  .sequences = &sequence,
					  .n_sequences = 1,
					  .large_objects = &large,
					  .n_large_objects = 1};
	struct cf_pg_manifest *again = NULL;
	struct cf_buf document = CF_BUF_INIT;

	assert_int_equal(cf_pg_manifest_encode(&manifest, &document, NULL), 0);
	assert_int_equal(cf_pg_manifest_decode(cf_buf_span(&document), &again, NULL), 0);
	assert_string_equal(again->tables[0].schema, "s\n");
	assert_string_equal(again->tables[0].name, "\x80t");
	assert_string_equal(again->tables[0].columns[1], "\xff\xfe");
	assert_true(again->tables[0].oid == 4000000000u);
	assert_true(again->sequences[0].last_value == INT64_MIN);
	assert_string_equal(again->large_objects[0].comment, "");
	assert_null(again->large_objects[0].grants);
	cf_pg_manifest_free(again);
	cf_buf_release(&document);
}

static void manifest_with_a_path_out_of_its_folder_is_damaged(void **state)
{
	static const char *const files[] = {"/etc/passwd", "../x", "tables/../../x",
					    "a//b",	   "",	   "."};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct cf_pg_manifest *manifest = NULL;
		char text[512];

		snprintf(text, sizeof(text),
			 "{\"format\":\"coffer-postgres-database\",\"version\":1,\"name\":\"d\","
			 "\"encoding\":\"UTF8\","
			 "\"data_encoding\":\"UTF8\",\"tables\":[{\"schema\":\"s\",\"name\":\"t\","
			 "\"kind\":\"r\",\"file\":\"%s\"}],"
			 "\"sequences\":[],\"large_objects\":[]}",
			 files[i]);
		assert_int_equal(cf_pg_manifest_decode(cf_span_str(text), &manifest, NULL),
				 CF_ERR_DAMAGED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_version_reads_the_same),
		cmocka_unit_test(texts_are_converted_but_for_ascii),
		cmocka_unit_test(other_versions_are_refused),
		cmocka_unit_test(cut_archive_is_damaged),
		cmocka_unit_test(script_has_what_its_table_needs),
		cmocka_unit_test(script_leaves_others_out),
		cmocka_unit_test(partition_is_a_plain_table),
		cmocka_unit_test(tokens_know_quotes),
		cmocka_unit_test(casts_of_arrays_and_roles_of_policies_are_settled),
		cmocka_unit_test(statements_about_a_database_are_in_the_words_of_its_server),
		cmocka_unit_test(quoted_names_read_back),
		cmocka_unit_test(table_takes_its_satellites_along),
		cmocka_unit_test(another_schema_keeps_names),
		cmocka_unit_test(schema_is_renamed_everywhere_but_in_texts),
		cmocka_unit_test(manifest_keeps_every_byte),
		cmocka_unit_test(manifest_with_a_path_out_of_its_folder_is_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
