/*
 * duetadm - the administrator's command of a Duet node.
 *
 * This program is the client side of administration: options, the table of
 * subcommands, masks, formatters and exit codes.  The server side is
 * node/adm.[ch] and the IPC_ADM_* messages of proto/ipc_msg.h.
 */
