#ifndef CF_DRIVERS_MYSQL_FACTS_H
#define CF_DRIVERS_MYSQL_FACTS_H

/* What is worth knowing of a server and of the instant it was saved at, for server.json and the
 * snapshot's facts. */

struct cf_err;
struct cf_mysql;
struct cf_mysql_catalog;
struct cf_mysql_server;
struct cf_mysql_snapshot;

/* Of the server itself: version, identity, settings that give data their meaning. *server is empty
 * before. */
int cf_mysql_facts_of_server(struct cf_mysql *my, struct cf_mysql_server *server,
			     struct cf_err *err);
/* How and when it was saved, and which databases. */
int cf_mysql_facts_of_snapshot(const struct cf_mysql_snapshot *snapshot,
			       const struct cf_mysql_catalog *catalog,
			       struct cf_mysql_server *server, struct cf_err *err);

#endif
