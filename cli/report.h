#ifndef CF_CLI_REPORT_H
#define CF_CLI_REPORT_H

/*
 * The program's reporter: warnings and notes as lines on standard error, progress as one redrawn
 * line there, or all of it as JSON lines on standard output.
 */

#include "base/ctx.h"

struct cf_err;
struct cf_report;

struct cf_report_options {
	bool json_events; /* warnings and progress as JSON lines */
	bool notes;	  /* say notes, too */
	bool progress;	  /* draw the line when standard error is a terminal */
};

int cf_report_new(const struct cf_report_options *options, struct cf_report **report_out,
		  struct cf_err *err);
void cf_report_free(struct cf_report *report);
const struct cf_reporter *cf_report_reporter(const struct cf_report *report);

/* Erase the progress line, so that something else may be printed; the next event draws it again and
 * starts to measure anew. */
void cf_report_pause(struct cf_report *report);

/* Print "coffer: text" as one harmless line on standard error, without passwords. report may be NULL. */
void cf_report_complain(struct cf_report *report, const char *text);

#endif
