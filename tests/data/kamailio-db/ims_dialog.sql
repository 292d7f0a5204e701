BEGIN TRANSACTION;
CREATE TABLE dialog_in (
            id INTEGER PRIMARY KEY NOT NULL, hash_entry INTEGER NOT NULL, hash_id INTEGER NOT NULL,
            did VARCHAR(45), callid VARCHAR(255) NOT NULL, from_uri VARCHAR(128) NOT NULL,
            from_tag VARCHAR(64) NOT NULL, caller_original_cseq VARCHAR(20) NOT NULL,
            req_uri VARCHAR(128) NOT NULL, caller_route_set VARCHAR(512),
            caller_contact VARCHAR(128) NOT NULL, caller_sock VARCHAR(64) NOT NULL,
            state INTEGER NOT NULL, start_time INTEGER NOT NULL, timeout INTEGER NOT NULL DEFAULT 0,
            sflags INTEGER NOT NULL DEFAULT 0, toroute_name VARCHAR(32), toroute_index INTEGER
        );
INSERT INTO "dialog_in" VALUES(1,6,9387,NULL,'plain@kamailio.example.com','sip:alice@ims.example.com','uac-1','1','sip:plain-20708@127.0.0.1:20707',NULL,'sip:alice@127.0.0.1:20714;ob','udp:127.0.0.1:20707',4,1795682003,1795689203,0,NULL,NULL);
INSERT INTO "dialog_in" VALUES(2,3753,11574,NULL,'rich@kamailio.example.com','sip:alice@ims.example.com','uac-1','1','sip:rich-20720@127.0.0.1:20707',NULL,'sip:alice@127.0.0.1:20726;ob','udp:127.0.0.1:20707',4,1795682003,1795689203,8,'GONE',NULL);
INSERT INTO "dialog_in" VALUES(3,3940,499,NULL,'fork@kamailio.example.com','sip:alice@ims.example.com','uac-1','1','sip:fork-20732-20738@127.0.0.1:20707',NULL,'sip:alice@127.0.0.1:20744;ob','udp:127.0.0.1:20707',4,1795682003,1795689203,0,NULL,NULL);
INSERT INTO "dialog_in" VALUES(4,3156,303,NULL,'moved@kamailio.example.com','sip:alice@ims.example.com','uac-1','1','sip:moved-20750@127.0.0.1:20707',NULL,'sip:alice@127.0.0.1:20756;ob','udp:127.0.0.1:20707',4,1795682004,1795689204,0,NULL,NULL);
CREATE TABLE dialog_out (
            id INTEGER PRIMARY KEY NOT NULL, hash_entry INTEGER NOT NULL, hash_id INTEGER NOT NULL,
            did VARCHAR(45), to_uri VARCHAR(128) NOT NULL, to_tag VARCHAR(64) NOT NULL,
            caller_cseq VARCHAR(20) NOT NULL, callee_cseq VARCHAR(20) NOT NULL,
            callee_contact VARCHAR(128) NOT NULL, callee_route_set VARCHAR(512),
            callee_sock VARCHAR(64) NOT NULL
        );
INSERT INTO "dialog_out" VALUES(1,3442,0,NULL,'sip:plain-20708@ims.example.com','uas20708-1','1','1','sip:uas@127.0.0.1:20708;transport=UDP',NULL,'udp:127.0.0.1:20707');
INSERT INTO "dialog_out" VALUES(2,2985,0,NULL,'sip:rich-20720@ims.example.com','uas20720-1','1','1','sip:uas@127.0.0.1:20720;transport=UDP',NULL,'udp:127.0.0.1:20707');
INSERT INTO "dialog_out" VALUES(3,3207,0,NULL,'sip:fork-20732-20738@ims.example.com','uas20732-1','1','1','sip:uas@127.0.0.1:20732;transport=UDP',NULL,'udp:127.0.0.1:20707');
INSERT INTO "dialog_out" VALUES(4,3218,0,NULL,'sip:fork-20732-20738@ims.example.com','uas20738-1','1','1','sip:uas@127.0.0.1:20738;transport=UDP',NULL,'udp:127.0.0.1:20707');
INSERT INTO "dialog_out" VALUES(5,2761,0,NULL,'sip:moved-20750@ims.example.com','uas20750-1','1','1','sip:uas@127.0.0.1:20750;transport=UDP',NULL,'udp:127.0.0.1:20707');
CREATE TABLE dialog_vars (
            id INTEGER PRIMARY KEY NOT NULL, hash_entry INTEGER NOT NULL, hash_id INTEGER NOT NULL,
            dialog_key VARCHAR(128) NOT NULL, dialog_value VARCHAR(512) NOT NULL
        );
INSERT INTO "dialog_vars" VALUES(1,3753,11574,'more','yes');
INSERT INTO "dialog_vars" VALUES(2,3753,11574,'who','alice & co');
CREATE TABLE version (table_name VARCHAR(32) NOT NULL UNIQUE, table_version INTEGER);
INSERT INTO "version" VALUES('dialog_in',7);
INSERT INTO "version" VALUES('dialog_out',7);
INSERT INTO "version" VALUES('dialog_vars',7);
CREATE INDEX dialog_in_hash ON dialog_in (hash_entry, hash_id);
CREATE INDEX dialog_out_hash ON dialog_out (hash_entry, hash_id);
COMMIT;
