BEGIN TRANSACTION;
CREATE TABLE dialog (
    id INTEGER PRIMARY KEY NOT NULL,
    hash_entry INTEGER NOT NULL,
    hash_id INTEGER NOT NULL,
    callid VARCHAR(255) NOT NULL,
    from_uri VARCHAR(255) NOT NULL,
    from_tag VARCHAR(128) NOT NULL,
    to_uri VARCHAR(255) NOT NULL,
    to_tag VARCHAR(128) NOT NULL,
    caller_cseq VARCHAR(20) NOT NULL,
    callee_cseq VARCHAR(20) NOT NULL,
    caller_route_set VARCHAR(512),
    callee_route_set VARCHAR(512),
    caller_contact VARCHAR(255) NOT NULL,
    callee_contact VARCHAR(255) NOT NULL,
    caller_sock VARCHAR(64) NOT NULL,
    callee_sock VARCHAR(64) NOT NULL,
    state INTEGER NOT NULL,
    start_time INTEGER NOT NULL,
    timeout INTEGER DEFAULT 0 NOT NULL,
    sflags INTEGER DEFAULT 0 NOT NULL,
    iflags INTEGER DEFAULT 0 NOT NULL,
    toroute_name VARCHAR(32),
    req_uri VARCHAR(255) NOT NULL,
    xdata VARCHAR(512)
);
INSERT INTO "dialog" VALUES(1,6,11017,'plain@kamailio.example.com','sip:alice@ims.example.com','uac-1','sip:plain-19790@ims.example.com','uas19790-1','1','0',NULL,NULL,'sip:alice@127.0.0.1:19796;ob','sip:uas@127.0.0.1:19790;transport=UDP','udp:127.0.0.1:19789','udp:127.0.0.1:19789',4,1795682004,1795689204,0,0,NULL,'sip:plain-19790@127.0.0.1:19789',NULL);
INSERT INTO "dialog" VALUES(2,3753,9290,'rich@kamailio.example.com','sip:alice@ims.example.com','uac-1','sip:rich-19802@ims.example.com','uas19802-1','1','0',NULL,NULL,'sip:alice@127.0.0.1:19808;ob','sip:uas@127.0.0.1:19802;transport=UDP','udp:127.0.0.1:19789','udp:127.0.0.1:19789',4,1795682005,1795689205,-2147483640,11,'GONE','sip:rich-19802@127.0.0.1:19789','{"profiles":[{"name":"caller","value":"b, \"c\"","puid":"dlgp-6b07eed5-20cd-3"},{"name":"inbound","puid":"dlgp-6b07eed5-20cd-2"},{"name":"caller","value":"alice","puid":"dlgp-6b07eed5-20cd-1"}]}');
INSERT INTO "dialog" VALUES(3,3940,6687,'fork@kamailio.example.com','sip:alice@ims.example.com','uac-1','sip:fork-19814-19820@ims.example.com','uas19814-1','1','0',NULL,NULL,'sip:alice@127.0.0.1:19826;ob','sip:uas@127.0.0.1:19814;transport=UDP','udp:127.0.0.1:19789','udp:127.0.0.1:19789',4,1795682005,1795689205,0,0,NULL,'sip:fork-19814-19820@127.0.0.1:19789',NULL);
INSERT INTO "dialog" VALUES(4,3156,6890,'moved@kamailio.example.com','sip:alice@ims.example.com','uac-1','sip:moved-19832@ims.example.com','uas19832-1','1','2',NULL,NULL,'sip:alice@127.0.0.1:19838;ob','sip:uas@127.0.0.1:19832;transport=UDP','udp:127.0.0.1:19789','udp:127.0.0.1:19789',4,1795682006,1795689206,0,0,NULL,'sip:moved-19832@127.0.0.1:19789',NULL);
CREATE TABLE dialog_vars (
    id INTEGER PRIMARY KEY NOT NULL,
    hash_entry INTEGER NOT NULL,
    hash_id INTEGER NOT NULL,
    dialog_key VARCHAR(128) NOT NULL,
    dialog_value VARCHAR(512) NOT NULL
);
INSERT INTO "dialog_vars" VALUES(1,3753,9290,'more','yes');
INSERT INTO "dialog_vars" VALUES(2,3753,9290,'who','alice & co');
CREATE TABLE version (
    id INTEGER PRIMARY KEY NOT NULL,
    table_name VARCHAR(32) NOT NULL,
    table_version INTEGER DEFAULT 0 NOT NULL,
    CONSTRAINT version_table_name_idx UNIQUE (table_name)
);
INSERT INTO "version" VALUES(1,'version',1);
INSERT INTO "version" VALUES(2,'dialog',7);
INSERT INTO "version" VALUES(3,'dialog_vars',1);
CREATE INDEX dialog_hash_idx ON dialog (hash_entry, hash_id);
CREATE INDEX dialog_vars_hash_idx ON dialog_vars (hash_entry, hash_id);
COMMIT;
