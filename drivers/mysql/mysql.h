#ifndef CF_DRIVERS_MYSQL_MYSQL_H
#define CF_DRIVERS_MYSQL_MYSQL_H

/*
 * mysql://[USER@][HOST][:PORT]/[DATABASE[,DATABASE...]][?OPTIONS]: a live MySQL or MariaDB server,
 * dumped logically in one consistent snapshot by several connections at once.
 */

struct cf_driver;

extern const struct cf_driver cf_mysql_driver;

#endif
