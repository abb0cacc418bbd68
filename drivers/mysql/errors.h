#ifndef CF_DRIVERS_MYSQL_ERRORS_H
#define CF_DRIVERS_MYSQL_ERRORS_H

/* One of enum cf_err_code for an error number of the server or of its client library. */
int cf_mysql_error_code(unsigned error);

#endif
