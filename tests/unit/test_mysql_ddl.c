/* Statements of SHOW CREATE: taken apart, put together, given other names. */

#include "base/err.h"
#include "drivers/mysql/ddl.h"
#include "drivers/mysql/users_scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char shop[] = "CREATE TABLE `o,r(d` (\n"
			   "  `id` int(11) NOT NULL AUTO_INCREMENT,\n"
			   "  `note` varchar(30) DEFAULT 'it''s \\\\ a\\n(b),' COMMENT 'x,y\\n)',\n"
			   "  `g` int(11) GENERATED ALWAYS AS (`id` + 1) STORED,\n"
			   "  `pid` int(11) DEFAULT NULL,\n"
			   "  PRIMARY KEY (`id`),\n"
			   "  UNIQUE KEY `u` (`note`),\n"
			   "  KEY `fk1` (`pid`),\n"
			   "  CONSTRAINT `fk1` FOREIGN KEY (`pid`) REFERENCES `p` (`id`),\n"
			   "  CONSTRAINT `c` CHECK (`id` > 0)\n"
			   ") ENGINE=InnoDB DEFAULT CHARSET=latin1 COMMENT='a ) b'";

struct texts {
	struct cf_buf create, keys, foreign;
};

static void write_table(const char *create, const struct cf_mysql_create_options *options,
			struct texts *texts)
{
	struct cf_mysql_create_table table;

	*texts = (struct texts){.create = CF_BUF_INIT};
	assert_int_equal(cf_mysql_create_table_parse(create, &table, NULL), 0);
	assert_int_equal(cf_mysql_create_table_write(&table, options, &texts->create, &texts->keys,
						     &texts->foreign, NULL),
			 0);
	cf_mysql_create_table_release(&table);
}

static void release_texts(struct texts *texts)
{
	cf_buf_release(&texts->create);
	cf_buf_release(&texts->keys);
	cf_buf_release(&texts->foreign);
}

static void table_comes_out_as_it_was(void **state)
{
	const struct cf_mysql_create_options options = {.name = "o,r(d"};
	struct texts texts;

	write_table(shop, &options, &texts);
	assert_string_equal((char *)texts.create.data, shop);
	assert_int_equal(texts.keys.len, 0);
	assert_int_equal(texts.foreign.len, 0);
	release_texts(&texts);
}

static void keys_wait_for_rows(void **state)
{
	const struct cf_mysql_create_options options = {
		.name = "n`w", .with_defer = true, .anonymous_keys = true};
	struct texts texts;

	write_table(shop, &options, &texts);
	assert_non_null(strstr((char *)texts.create.data, "CREATE TABLE `n``w` ("));
	assert_non_null(
		strstr((char *)texts.create.data, "PRIMARY KEY (`id`),\n  CONSTRAINT `c` CHECK"));
	assert_null(strstr((char *)texts.create.data, "UNIQUE"));
	assert_null(strstr((char *)texts.create.data, "FOREIGN"));
	assert_string_equal(
		(char *)texts.keys.data,
		"ALTER TABLE `n``w`\n  ADD UNIQUE KEY `u` (`note`),\n  ADD KEY `fk1` (`pid`)");
	assert_string_equal((char *)texts.foreign.data,
			    "ALTER TABLE `n``w`\n  ADD FOREIGN KEY (`pid`) REFERENCES `p` (`id`)");
	release_texts(&texts);
}

static void keys_stay_where_they_must(void **state)
{
	static const char *const creates[] = {
		/* not InnoDB */
		"CREATE TABLE `t` (\n  `a` int,\n  PRIMARY KEY (`a`),\n  KEY `k` (`a`)\n) "
		"ENGINE=Aria",
		/* no primary key: the unique one takes its place */
		"CREATE TABLE `t` (\n  `a` int NOT NULL,\n  UNIQUE KEY `k` (`a`)\n) ENGINE=InnoDB",
		/* AUTO_INCREMENT needs its key */
		"CREATE TABLE `t` (\n  `a` int NOT NULL AUTO_INCREMENT,\n  `b` int,\n  PRIMARY KEY "
		"(`b`),\n"
		"  KEY `k` (`a`)\n) ENGINE=InnoDB",
		"CREATE TABLE `t` (\n  `a` int,\n  `b` text,\n  PRIMARY KEY (`a`),\n  KEY `k` "
		"(`a`),\n"
		"  FULLTEXT KEY `f` (`b`)\n) ENGINE=InnoDB",
		"CREATE TABLE `t` (\n  `a` int,\n  `b` text,\n  PRIMARY KEY (`a`),\n"
		"  UNIQUE KEY `f` (`b`) USING HASH\n) ENGINE=InnoDB",
		"CREATE TABLE `t` (\n  `a` int,\n  PRIMARY KEY (`a`),\n  KEY `k` (`a`)\n"
		") ENGINE=InnoDB WITH SYSTEM VERSIONING",
	};
	const struct cf_mysql_create_options options = {.name = "t", .with_defer = true};

	for (size_t i = 0; i < sizeof(creates) / sizeof(creates[0]); i++) {
		struct texts texts;

		write_table(creates[i], &options, &texts);
		assert_string_equal((char *)texts.create.data, creates[i]);
		assert_int_equal(texts.keys.len, 0);
		release_texts(&texts);
	}
}

static void numbered_column_is_known(void **state)
{
	struct cf_mysql_create_table table;

	assert_int_equal(cf_mysql_create_table_parse(shop, &table, NULL), 0);
	assert_true(cf_mysql_create_table_numbers(&table, "id"));
	assert_false(cf_mysql_create_table_numbers(&table, "pid"));
	cf_mysql_create_table_release(&table);
}

static void bare_timestamps_are_known(void **state)
{
	static const struct {
		const char *text;
		bool is_bare;
	} cases[] = {
		{"CREATE TABLE `t` (\n  `a` timestamp NOT NULL\n) ENGINE=InnoDB", true},
		{"CREATE TABLE `t` (\n  `i` int,\n  `a` timestamp(6) NOT NULL COMMENT 'DEFAULT'\n)",
		 true},
		{"CREATE TABLE `t` (\n  `a` timestamp NOT NULL DEFAULT current_timestamp()\n)",
		 false},
		{"CREATE TABLE `t` (\n  `a` timestamp NULL DEFAULT NULL\n)", false},
		{"CREATE TABLE `t` (\n  `a` timestamp(6) GENERATED ALWAYS AS ROW START\n)", false},
		{"CREATE TABLE `t` (\n  `timestamp` datetime NOT NULL\n)", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cf_mysql_create_table table;

		assert_int_equal(cf_mysql_create_table_parse(cases[i].text, &table, NULL), 0);
		assert_int_equal(cf_mysql_create_table_has_bare_timestamp(&table),
				 cases[i].is_bare);
		cf_mysql_create_table_release(&table);
	}
}

static void cut_text_is_damage(void **state)
{
	for (size_t len = 0; len < strlen("CREATE TABLE `o,r(d` (\n  `id` int(11)"); len++) {
		char *cut = strndup(shop, len);
		struct cf_mysql_create_table table;

		assert_int_equal(cf_mysql_create_table_parse(cut, &table, NULL), CF_ERR_DAMAGED);
		free(cut);
	}
}

static void names_change(void **state)
{
	static const struct {
		const char *text, *word, *name, *result;
	} cases[] = {
		{"CREATE ALGORITHM=UNDEFINED DEFINER=`a`@`b` SQL SECURITY DEFINER VIEW `v` AS "
		 "select 1",
		 "VIEW", "w",
		 "CREATE ALGORITHM=UNDEFINED DEFINER=`a`@`b` SQL SECURITY DEFINER VIEW `w` AS "
		 "select 1"},
		{"CREATE VIEW `d`.`v``x` AS select `v``x`.`a` from `v``x`", "VIEW", "w",
		 "CREATE VIEW `w` AS select `v``x`.`a` from `v``x`"},
		{"CREATE DEFINER=`VIEW`@`VIEW` VIEW `v` AS select 1", "VIEW", "w",
		 "CREATE DEFINER=`VIEW`@`VIEW` VIEW `w` AS select 1"},
		{"CREATE SEQUENCE `s` start with 1", "SEQUENCE", "a`b",
		 "CREATE SEQUENCE `a``b` start with 1"},
		{"CREATE VIEW `d`.`v\xe4``x` AS select 1", "VIEW", NULL,
		 "CREATE VIEW `v\xe4``x` AS select 1"},
	};
	struct cf_buf out = CF_BUF_INIT;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(cf_mysql_ddl_set_name(cases[i].text, cases[i].word, cases[i].name,
						       &out, NULL),
				 0);
		assert_string_equal((char *)out.data, cases[i].result);
	}
	assert_int_equal(cf_mysql_ddl_set_name("CREATE VIEW", "VIEW", "w", &out, NULL),
			 CF_ERR_DAMAGED);
	cf_buf_release(&out);
}

static const char *swap(void *user, const char *db)
{
	return !strcmp(db, "shop") ? "n" : !strcmp(db, "n") ? "shop" : NULL;
}

static bool next_sequence(void *user, struct cf_mysql_qualified from,
			  struct cf_mysql_qualified *to_out)
{
	*to_out =
		(struct cf_mysql_qualified){.db = "n`", .name = strcmp(from.name, "a") ? "a" : "b"};
	return !strcmp(from.db, "shop");
}

static void sequences_change(void **state)
{
	struct cf_buf out = CF_BUF_INIT;

	assert_int_equal(
		cf_mysql_ddl_set_sequences(
			"`i` int DEFAULT nextval(`shop`.`a`), `j` DEFAULT (nextval(`shop`.`b`) + "
			"1) COMMENT 'nextval(`shop`.`a`)', `k` DEFAULT lastval(`x`.`a`)",
			next_sequence, NULL, &out, NULL),
		0);
	assert_string_equal((char *)out.data,
			    "`i` int DEFAULT nextval(`n```.`b`), `j` DEFAULT (nextval(`n```.`a`) + "
			    "1) COMMENT 'nextval(`shop`.`a`)', `k` DEFAULT lastval(`x`.`a`)");
	cf_buf_release(&out);
}

static bool next_table(void *user, struct cf_mysql_qualified from, struct cf_mysql_qualified *to_out)
{
	*to_out = (struct cf_mysql_qualified){.db = *from.db ? "other" : "own", .name = "`n"};
	return !strcmp(from.name, "a");
}

static void references_change(void **state)
{
	struct cf_buf out = CF_BUF_INIT;

	assert_int_equal(cf_mysql_ddl_set_references(
				 "FOREIGN KEY (`a`) REFERENCES `a` (`a`), REFERENCES `shop`.`a` (`x`) COMMENT 'REFERENCES `a`', REFERENCES `b` (`a`)",
				 next_table, NULL, &out, NULL),
			 0);
	assert_string_equal((char *)out.data,
			    "FOREIGN KEY (`a`) REFERENCES `own`.```n` (`a`), REFERENCES `other`.```n` (`x`) COMMENT 'REFERENCES `a`', REFERENCES `b` (`a`)");
	assert_true(cf_mysql_ddl_view_reads("select `x`.`a` from `shop` . `t` `x`", (struct cf_mysql_qualified){"shop", "t"}, false));
	assert_true(cf_mysql_ddl_view_reads("select `t`.`a` AS `t` from (`b` join `t` on(1))", (struct cf_mysql_qualified){"shop", "t"}, true));
	assert_false(cf_mysql_ddl_view_reads("select `x`.`t` AS `t`, '`shop`.`t`' from `x`", (struct cf_mysql_qualified){"shop", "t"}, true));
	assert_false(cf_mysql_ddl_view_reads("select `t`.`a` from `t`", (struct cf_mysql_qualified){"shop", "t"}, false));
	assert_true(cf_mysql_ddl_mentions_table("insert into T(a)", "t"));
	assert_false(cf_mysql_ddl_mentions_table("insert into at, t_, t$, \xc3\xa4t", "t"));
	cf_buf_release(&out);
}

static void databases_change(void **state)
{
	struct cf_buf out = CF_BUF_INIT;

	assert_int_equal(
		cf_mysql_ddl_set_databases(
			"`shop`.`t` 'shop.`shop`.x' `a`.`shop`.`b` `shop` nextval(`n`.`s`)", swap,
			NULL, &out, NULL),
		0);
	assert_string_equal((char *)out.data,
			    "`n`.`t` 'shop.`shop`.x' `a`.`shop`.`b` `shop` nextval(`shop`.`s`)");
	assert_true(cf_mysql_ddl_is_ambiguous("select `shop`.`a` from `shop`", "shop"));
	assert_false(cf_mysql_ddl_is_ambiguous("select 'shop' from `shop`.`a` `b`", "shop"));
	assert_true(cf_mysql_ddl_mentions("insert into Shop.t", "shop"));
	assert_true(cf_mysql_ddl_mentions("insert into `shop` . t", "shop"));
	assert_false(cf_mysql_ddl_mentions("insert into workshop.t, shops.x, shop", "shop"));
	cf_buf_release(&out);
}

static void definers_go(void **state)
{
	static const char *const cases[][2] = {
		{"CREATE DEFINER=`a`@`b%` PROCEDURE `p`() SELECT 'DEFINER=x'",
		 "CREATE PROCEDURE `p`() SELECT 'DEFINER=x'"},
		{"CREATE ALGORITHM=MERGE DEFINER=`a`@`b` SQL SECURITY INVOKER VIEW `v` AS select 1",
		 "CREATE ALGORITHM=MERGE SQL SECURITY INVOKER VIEW `v` AS select 1"},
		{"CREATE DEFINER=\"a\"@\"b\" TRIGGER t BEFORE INSERT ON x FOR EACH ROW SET "
		 "@DEFINER=1",
		 "CREATE TRIGGER t BEFORE INSERT ON x FOR EACH ROW SET @DEFINER=1"},
		{"CREATE DEFINER=`role` FUNCTION `f`() RETURNS int RETURN 1",
		 "CREATE FUNCTION `f`() RETURNS int RETURN 1"},
		{"CREATE FUNCTION `f`() RETURNS int RETURN DEFINER=1",
		 "CREATE FUNCTION `f`() RETURNS int RETURN DEFINER=1"},
	};
	struct cf_buf out = CF_BUF_INIT;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(cf_mysql_ddl_drop_definer(cases[i][0], &out, NULL), 0);
		assert_string_equal((char *)out.data, cases[i][1]);
	}
	cf_buf_release(&out);
}

static int note_name(void *user, const char *db, const char *sequence, struct cf_err *err)
{
	return cf_buf_printf(user, err, "[%s|%s]", db, sequence);
}

static void sequences_are_found(void **state)
{
	struct cf_buf out = CF_BUF_INIT;

	assert_int_equal(
		cf_mysql_ddl_sequences("`a` int DEFAULT nextval(`x`.`s``1`), 'nextval(`x`.`t`)', "
				       "DEFAULT (nextval(`y`.`s2`) + 1), nextval(`x`",
				       note_name, &out, NULL),
		0);
	assert_string_equal((char *)out.data, "[x|s`1][y|s2]");
	cf_buf_release(&out);
}

static void events_fall_asleep(void **state)
{
	static const struct {
		const char *text, *asleep;
	} cases[] = {
		{"CREATE EVENT `PRESERVE ENABLE` ON SCHEDULE EVERY 1 DAY ON COMPLETION NOT "
		 "PRESERVE "
		 "ENABLE COMMENT 'PRESERVE ENABLE' DO SELECT 1",
		 "CREATE EVENT `PRESERVE ENABLE` ON SCHEDULE EVERY 1 DAY ON COMPLETION NOT "
		 "PRESERVE "
		 "DISABLE COMMENT 'PRESERVE ENABLE' DO SELECT 1"},
		{"CREATE EVENT `e` ON COMPLETION PRESERVE DISABLE DO SELECT 1",
		 "CREATE EVENT `e` ON COMPLETION PRESERVE DISABLE DO SELECT 1"},
	};
	struct cf_buf out = CF_BUF_INIT;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(cf_mysql_ddl_disable_event(cases[i].text, &out, NULL), 0);
		assert_string_equal((char *)out.data, cases[i].asleep);
	}
	cf_buf_release(&out);
}

static void engines_change(void **state)
{
	struct cf_buf out = CF_BUF_INIT;

	assert_int_equal(cf_mysql_ddl_set_engine("CREATE TABLE `ENGINE=FEDERATED` (`i` int COMMENT "
						 "'ENGINE=FEDERATED') ENGINE=FEDERATED COMMENT='x'",
						 "FEDERATED", "InnoDB", &out, NULL),
			 0);
	assert_string_equal((char *)out.data, "CREATE TABLE `ENGINE=FEDERATED` (`i` int COMMENT "
					      "'ENGINE=FEDERATED') ENGINE=InnoDB COMMENT='x'");
	cf_buf_release(&out);
}

static void the_numbering_of_a_table_goes(void **state)
{
	static const struct {
		const char *text, *without;
	} cases[] = {
		{"CREATE TABLE `AUTO_INCREMENT=1` (\n  `i` int AUTO_INCREMENT COMMENT "
		 "'AUTO_INCREMENT=2'"
		 "\n) ENGINE=ARCHIVE AUTO_INCREMENT=3 DEFAULT CHARSET=latin1",
		 "CREATE TABLE `AUTO_INCREMENT=1` (\n  `i` int AUTO_INCREMENT COMMENT "
		 "'AUTO_INCREMENT=2'"
		 "\n) ENGINE=ARCHIVE DEFAULT CHARSET=latin1"},
		{"AUTO_INCREMENT=", ""},
		{"AUTO_INCREMENT", "AUTO_INCREMENT"},
	};
	struct cf_buf out = CF_BUF_INIT;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(cf_mysql_ddl_drop_numbering(cases[i].text, &out, NULL), 0);
		assert_string_equal((char *)out.data, cases[i].without);
	}
	cf_buf_release(&out);
}

static void encrypted_tables_are_known(void **state)
{
	static const struct {
		const char *text;
		bool is_encrypted;
	} cases[] = {
		{"CREATE TABLE `t` (`i` int) ENGINE=InnoDB `ENCRYPTED`=YES `ENCRYPTION_KEY_ID`=2",
		 true},
		{"CREATE TABLE `t` (`i` int) `encrypted`='yes'", true},
		{"CREATE TABLE `t` (`i` int) `ENCRYPTED`='NO'", false},
		{"CREATE TABLE `t` (`ENCRYPTED` int COMMENT '`ENCRYPTED`=YES')", false},
		{"`ENCRYPTED`", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(cf_mysql_ddl_is_encrypted(cases[i].text), cases[i].is_encrypted);
}

static void directories_go(void **state)
{
	static const struct {
		const char *text, *without;
	} cases[] = {
		{"CREATE TABLE `DATA DIRECTORY='x'` (\n  `data` int COMMENT 'DATA DIRECTORY=''/a'' "
		 "'\n)"
		 " ENGINE=MyISAM DATA DIRECTORY='/d/it''s/' INDEX DIRECTORY='/i/' COMMENT='c'",
		 "CREATE TABLE `DATA DIRECTORY='x'` (\n  `data` int COMMENT 'DATA DIRECTORY=''/a'' "
		 "'\n)"
		 " ENGINE=MyISAM COMMENT='c'"},
		{"CREATE TABLE `t` (\n  `i` int\n) ENGINE=InnoDB\n PARTITION BY HASH (`i`)\n"
		 "(PARTITION `a` COMMENT = 'x' DATA DIRECTORY = '/d' ENGINE = InnoDB,\n"
		 " PARTITION `b` DATA DIRECTORY = '/e'\nINDEX DIRECTORY = '/f' ENGINE = InnoDB)",
		 "CREATE TABLE `t` (\n  `i` int\n) ENGINE=InnoDB\n PARTITION BY HASH (`i`)\n"
		 "(PARTITION `a` COMMENT = 'x' ENGINE = InnoDB,\n"
		 " PARTITION `b` ENGINE = InnoDB)"},
		{"DATA DIRECTORY", "DATA DIRECTORY"},
	};
	struct cf_buf out = CF_BUF_INIT;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(cf_mysql_ddl_drop_directories(cases[i].text, &out, NULL), 0);
		assert_string_equal((char *)out.data, cases[i].without);
	}
	cf_buf_release(&out);
}

static void references_are_found(void **state)
{
	struct cf_buf out = CF_BUF_INIT;

	assert_int_equal(
		cf_mysql_ddl_references("`references` int COMMENT 'REFERENCES `x` (`id`)', "
					"CONSTRAINT `c` FOREIGN KEY "
					"(`a`) REFERENCES `t` (`id`), FOREIGN KEY (`b`) REFERENCES "
					"`y``z`.`u` (`id`) "
					"ON DELETE CASCADE, FOREIGN KEY (`c`) REFERENCES `v`.",
					note_name, &out, NULL),
		0);
	assert_string_equal((char *)out.data, "[|t][y`z|u]");
	cf_buf_release(&out);
}

static void the_servers_own_strings_lose_their_escapes(void **state)
{
	static const char *const texts[][2] = {
		{"CREATE DEFINER=`r`@`h` PROCEDURE `p`()\n    COMMENT 'it''s \\\\'\nselect '\\\\'",
		 "CREATE DEFINER=`r`@`h` PROCEDURE `p`()\n    COMMENT 'it''s \\'\nselect '\\\\'"},
		{"CREATE PROCEDURE `p`(a enum('x\\',')'))\n    DETERMINISTIC\n    COMMENT 'n\\nl'\n"
		 "create table z(i int) comment '\\\\'",
		 "CREATE PROCEDURE `p`(a enum('x\\',')'))\n    DETERMINISTIC\n    COMMENT 'n\nl'\n"
		 "create table z(i int) comment '\\\\'"},
		{"CREATE FUNCTION `f`(a int) RETURNS enum('\\\\','(')\n    DETERMINISTIC\nreturn "
		 "'\\\\'",
		 "CREATE FUNCTION `f`(a int) RETURNS enum('\\','(')\n    DETERMINISTIC\nreturn "
		 "'\\\\'"},
		{"CREATE EVENT `e` ON SCHEDULE EVERY 1 YEAR ENABLE COMMENT 'do \\\\' DO select "
		 "'\\\\'",
		 "CREATE EVENT `e` ON SCHEDULE EVERY 1 YEAR ENABLE COMMENT 'do \\' DO select "
		 "'\\\\'"},
		{"CREATE DEFINER=\"r\"@\"h\" PACKAGE BODY \"p\"    SQL SECURITY INVOKER\n    "
		 "COMMENT "
		 "'\\\\'\n AS a '\\\\'",
		 "CREATE DEFINER=\"r\"@\"h\" PACKAGE BODY \"p\"    SQL SECURITY INVOKER\n    "
		 "COMMENT "
		 "'\\'\n AS a '\\\\'"},
		{"CREATE PACKAGE `p`", "CREATE PACKAGE `p`"},
		{"CREATE PROCEDURE `p`(a enum('x", "CREATE PROCEDURE `p`(a enum('x"},
		{"", ""},
	};
	struct cf_buf out = CF_BUF_INIT;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(cf_mysql_ddl_plain_strings(texts[i][0], &out, NULL), 0);
		assert_string_equal((char *)out.data, texts[i][1]);
	}
	cf_buf_release(&out);
}

static void options_in_comments_are_options_again(void **state)
{
	struct cf_buf out = CF_BUF_INIT;

	assert_int_equal(
		cf_mysql_ddl_reveal_options(
			"CREATE TABLE `/* ``t */` (\n `a` int /* `foo`='x\\\\'' */' */,\n `b` int "
			"/*!80023 "
			"INVISIBLE */ COMMENT '/* `k` */'\n) /* `bar`='3' `bax`='a' */ /* `open`",
			&out, NULL),
		0);
	assert_string_equal(
		(char *)out.data,
		"CREATE TABLE `/* ``t */` (\n `a` int `foo`='x\\\\'' */',\n `b` int /*!80023 "
		"INVISIBLE */ COMMENT '/* `k` */'\n) `bar`='3' `bax`='a' `open`");
	cf_buf_release(&out);
}

static int note_step(void *user, const struct cf_mysql_user_step *step, struct cf_err *err)
{
	return cf_buf_printf(user, err, "%s%s|%s\n", step->is_account ? "+" : "",
			     step->is_oracle ? "ORACLE: " : "",
			     strcmp(step->label, step->sql) ? step->label : step->sql);
}

static void users_are_taken_apart_without_their_passwords(void **state)
{
	struct cf_buf out = CF_BUF_INIT;

	assert_int_equal(
		cf_mysql_users_scan(
			"-- Roles; load\nSET NAMES utf8mb4;\nSET @coffer_sql_mode = @@sql_mode, "
			"sql_mode = '';\n"
			"CREATE SERVER IF NOT EXISTS `s;` FOREIGN DATA WRAPPER `mysql` OPTIONS "
			"(PASSWORD 'x;');\n"
			"CREATE ROLE IF NOT EXISTS `r`;\n"
			"CREATE USER IF NOT EXISTS `a``;b`@`%` IDENTIFIED BY PASSWORD '*1';\n"
			"CREATE USER 'c'@'d' IDENTIFIED WITH 'p' AS 0x24;\n"
			"GRANT USAGE ON *.* TO `a``;b`@`%` IDENTIFIED BY PASSWORD '*1' REQUIRE SSL "
			"WITH GRANT OPTION MAX_QUERIES_PER_HOUR 7;\n"
			"REVOKE INSERT ON `world`.* FROM `c`@`d`;\n"
			"GRANT SELECT (`with`) ON `grant`.`t` TO `c`@`d`;\nGRANT `r` TO `c`@`d` "
			"WITH ADMIN OPTION;\n"
			"SET sql_mode = 'ORACLE';\nGRANT EXECUTE ON PACKAGE `a`.`b` TO `r`;\nSET "
			"sql_mode = '';\n"
			"SET DEFAULT ROLE `r` FOR `c`@`d`;\nSET sql_mode = @coffer_sql_mode;\n",
			note_step, &out, NULL),
		0);
	assert_int_equal(cf_buf_append(&out, "", 1, NULL), 0);
	assert_string_equal((char *)out.data,
			    "+|server `s;`\n+|role `r`\n+|user `a``;b`@`%`\n+|user 'c'@'d'\n"
			    "|GRANT USAGE ON *.* TO `a``;b`@`%` WITH GRANT OPTION\n"
			    "|REVOKE INSERT ON `world`.* FROM `c`@`d`\n"
			    "|GRANT SELECT (`with`) ON `grant`.`t` TO `c`@`d`\n"
			    "|GRANT `r` TO `c`@`d` WITH ADMIN OPTION\n"
			    "ORACLE: |GRANT EXECUTE ON PACKAGE `a`.`b` TO `r`\n"
			    "|SET DEFAULT ROLE `r` FOR `c`@`d`\n");
	cf_buf_release(&out);
}

static void what_no_backup_wrote_is_no_step(void **state)
{
	static const char *const texts[] = {
		"DROP DATABASE x;\n", "CREATE TABLE `t` (i int);\n", "CREATE USER;\n",
		"GRANT x TO `y`",     "INSERT INTO t VALUES (1);\n", ";\n",
		"CREATE USER 'a;\n",  "/* x */ SELECT 1;\n",	     "--x\nSELECT 1;\n",
	};
	struct cf_buf out = CF_BUF_INIT;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(cf_mysql_users_scan(texts[i], note_step, &out, NULL),
				 CF_ERR_DAMAGED);
	assert_int_equal(out.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_comes_out_as_it_was),
		cmocka_unit_test(keys_wait_for_rows),
		cmocka_unit_test(keys_stay_where_they_must),
		cmocka_unit_test(numbered_column_is_known),
		cmocka_unit_test(bare_timestamps_are_known),
		cmocka_unit_test(cut_text_is_damage),
		cmocka_unit_test(names_change),
		cmocka_unit_test(databases_change),
		cmocka_unit_test(sequences_change),
		cmocka_unit_test(references_change),
		cmocka_unit_test(definers_go),
		cmocka_unit_test(sequences_are_found),
		cmocka_unit_test(references_are_found),
		cmocka_unit_test(the_servers_own_strings_lose_their_escapes),
		cmocka_unit_test(options_in_comments_are_options_again),
		cmocka_unit_test(users_are_taken_apart_without_their_passwords),
		cmocka_unit_test(what_no_backup_wrote_is_no_step),
		cmocka_unit_test(events_fall_asleep),
		cmocka_unit_test(the_numbering_of_a_table_goes),
		cmocka_unit_test(encrypted_tables_are_known),
		cmocka_unit_test(directories_go),
		cmocka_unit_test(engines_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
