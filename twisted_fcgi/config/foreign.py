"""
httpd 2.4's directives by module, so that one of them is never called unknown.

All of them, also those with a row: a row comes first.  The names are those that
``httpd -L`` prints with every module loaded, and those of modules that are often added.
"""

from __future__ import annotations

from collections.abc import Iterator

from twisted_fcgi.config.registry import Foreign

__all__ = ["foreignDirectives"]

#: Why directives are not supported; then each module with a colon, and its names.
_MODULES = {
    "nothing here does what it asks for": """
        core: <Directory <Location <VirtualHost <Files <Limit <LimitExcept <IfModule
            <IfDefine <IfFile <IfDirective <IfSection <DirectoryMatch <LocationMatch
            <FilesMatch AddDefaultCharset AcceptPathInfo Define UnDefine Error <If <ElseIf
            <Else AccessFileName DocumentRoot ErrorDocument AllowOverride AllowOverrideList
            Options DefaultType FileETag EnableMMAP EnableSendfile ReadBufferSize
            FlushMaxThreshold FlushMaxPipelined AcceptFilter HostnameLookups
            ServerAdmin ServerName ServerSignature ServerRoot DefaultRuntimeDir ErrorLog
            ErrorLogFormat ServerAlias Timeout ContentDigest UseCanonicalName
            UseCanonicalPhysicalPort Include IncludeOptional LogLevel NameVirtualHost
            ServerTokens LimitRequestLine LimitRequestFieldsize LimitRequestFields
            LimitRequestBody LimitXMLRequestBody Mutex MaxRanges MaxRangeOverlaps
            MaxRangeReversals RLimitCPU RLimitMEM RLimitNPROC
            LimitInternalRecursion CGIPassAuth CGIVar QualifyRedirectURL StrictHostCheck
            ForceType SetHandler AllowEncodedSlashes
            ScoreBoardFile ExtendedStatus SeeRequestTail PidFile MaxRequestsPerChild
            MaxConnectionsPerChild CoreDumpDirectory MaxMemFree ThreadStackSize TraceEnable
            MergeTrailers Protocols ProtocolsHonorOrder HttpProtocolOptions
            RegisterHttpMethod MergeSlashes KeepAliveTimeout MaxKeepAliveRequests KeepAlive
            EnableExceptionHook
        mod_actions: Action Script
        mod_alias: Alias Redirect AliasMatch RedirectMatch RedirectTemp RedirectPermanent
            RedirectRelative AliasPreservePath
        mod_access_compat: Order Allow Deny Satisfy
        mod_allowmethods: AllowMethods
        mod_authnz_fcgi: AuthnzFcgiDefineProvider AuthnzFcgiCheckAuthnProvider
        mod_dbd: DBDriver DBDParams DBDPersist DBDPrepareSQL DBDInitSQL DBDMin DBDKeep
            DBDMax DBDExptime
        mod_dialup: ModemStandard
        mod_dir: FallbackResource DirectoryIndex DirectorySlash DirectoryCheckHandler
            DirectoryIndexRedirect
        mod_echo: ProtocolEcho
        mod_env: PassEnv SetEnv UnsetEnv
        mod_headers: Header RequestHeader
        mod_heartmonitor: HeartbeatListen HeartbeatStorage HeartbeatMaxServers
        mod_imagemap: ImapMenu ImapDefault ImapBase
        mod_info: AddModuleInfo
        mod_log_debug: LogMessage
        mod_log_forensic: ForensicLog
        mod_logio: LogIOTrackTTFB
        mod_proxy: <Proxy <ProxyMatch ProxyRequests ProxyPassInterpolateEnv ProxyPass
            ProxyPassMatch ProxyPassReverse ProxyPassReverseCookiePath
            ProxyPassReverseCookieDomain ProxyBlock
            ProxyReceiveBufferSize ProxyIOBufferSize ProxyMaxForwards NoProxy ProxyDomain
            ProxyVia ProxyErrorOverride ProxyPreserveHost ProxyTimeout ProxyBadHeader
            BalancerMember BalancerGrowth BalancerPersist BalancerInherit ProxyPassInherit
            ProxyStatus ProxySet ProxySourceAddress ProxyAddHeaders Proxy100Continue
        mod_proxy_fcgi: ProxyFCGIBackendType ProxyFCGISetEnvIf
        mod_proxy_hcheck: ProxyHCTemplate ProxyHCExpr ProxyHCTPsize
        mod_mime: AddCharset AddEncoding AddHandler AddLanguage AddType DefaultLanguage
            MultiviewsMatch RemoveCharset RemoveEncoding RemoveHandler RemoveInputFilter
            RemoveLanguage RemoveOutputFilter RemoveType TypesConfig ModMimeUsePathInfo
        mod_reflector: ReflectorHeader
        mod_reqtimeout: RequestReadTimeout
        mod_request: KeptBodySize
        mod_setenvif: SetEnvIf SetEnvIfNoCase SetEnvIfExpr BrowserMatch BrowserMatchNoCase
        mod_version: <IfVersion
    """,
    "programs are reached over FastCGI only": """
        mod_cgi: ScriptLog ScriptLogLength ScriptLogBuffer CGIScriptTimeout
        mod_cgid: ScriptSock CGIDScriptTimeout
        mod_suexec: SuexecUserGroup
        mod_wsgi: WSGIScriptAlias WSGIDaemonProcess WSGIProcessGroup WSGIPythonPath
            WSGIPythonHome WSGIApplicationGroup WSGIPassAuthorization
    """,
    "programs are not run here; Alias with SetHandler asks one over FastCGI (fcgiwrap for CGI)": """
        mod_alias: ScriptAlias ScriptAliasMatch
    """,
    "Listen says where connections are accepted, and how": """
        core: Port Protocol
    """,
    "a request names its host": """
        core: ServerPath
    """,
    "expressions have the options that are httpd's default": """
        core: RegexDefaultOptions
    """,
    "users are authenticated by the application, or by a FastCGI authorizer": """
        mod_auth_basic: AuthBasicProvider AuthBasicAuthoritative AuthBasicFake
            AuthBasicUseDigestAlgorithm
        mod_auth_digest: AuthDigestProvider AuthDigestQop AuthDigestNonceLifetime
            AuthDigestNcCheck AuthDigestAlgorithm AuthDigestDomain AuthDigestShmemSize
            AuthDigestNonceFormat
        mod_auth_form: AuthFormProvider AuthFormUsername AuthFormPassword AuthFormLocation
            AuthFormMethod AuthFormMimetype AuthFormBody AuthFormSize
            AuthFormLoginRequiredLocation AuthFormLoginSuccessLocation
            AuthFormLogoutLocation AuthFormSitePassphrase AuthFormAuthoritative
            AuthFormFakeBasicAuth AuthFormDisableNoStore
        mod_authn_anon: Anonymous Anonymous_MustGiveEmail Anonymous_NoUserId
            Anonymous_VerifyEmail Anonymous_LogEmail
        mod_authn_core: AuthType AuthName <AuthnProviderAlias
        mod_authn_dbd: AuthDBDUserPWQuery AuthDBDUserRealmQuery
        mod_authn_dbm: AuthDBMUserFile AuthDBMType
        mod_authn_file: AuthUserFile
        mod_authn_socache: AuthnCacheSOCache AuthnCacheEnable AuthnCacheProvideFor
            AuthnCacheTimeout AuthnCacheContext
        mod_authnz_ldap: AuthLDAPURL AuthLDAPBindDN AuthLDAPBindPassword
            AuthLDAPBindAuthoritative AuthLDAPRemoteUserIsDN AuthLDAPRemoteUserAttribute
            AuthLDAPCompareDNOnServer AuthLDAPSubGroupAttribute AuthLDAPSubGroupClass
            AuthLDAPMaxSubGroupDepth AuthLDAPGroupAttribute AuthLDAPGroupAttributeIsDN
            AuthLDAPDereferenceAliases AuthLDAPCharsetConfig AuthLDAPAuthorizePrefix
            AuthLDAPInitialBindAsUser AuthLDAPInitialBindPattern AuthLDAPSearchAsUser
            AuthLDAPCompareAsUser
        mod_authz_dbd: AuthzDBDLoginToReferer AuthzDBDQuery AuthzDBDRedirectQuery
        mod_authz_dbm: AuthDBMGroupFile AuthzDBMType
        mod_authz_groupfile: AuthGroupFile
        mod_ldap: LDAPSharedCacheSize LDAPSharedCacheFile LDAPCacheEntries LDAPCacheTTL
            LDAPOpCacheEntries LDAPOpCacheTTL LDAPTrustedGlobalCert LDAPTrustedClientCert
            LDAPTrustedMode LDAPVerifyServerCert LDAPConnectionTimeout LDAPReferrals
            LDAPReferralHopLimit LDAPLibraryDebug LDAPTimeout LDAPConnectionPoolTTL
            LDAPRetries LDAPRetryDelay
    """,
    "each section says by itself what it requires": """
        mod_authz_core: <AuthzProviderAlias Require <RequireAll <RequireAny <RequireNone
            AuthMerging AuthzSendForbiddenOnFailure
    """,
    "directories are never listed": """
        mod_autoindex: AddIcon AddIconByType AddIconByEncoding AddAlt AddAltByType
            AddAltByEncoding IndexOptions IndexOrderDefault IndexIgnore IndexIgnoreReset
            AddDescription HeaderName ReadmeName FancyIndexing DefaultIcon IndexStyleSheet
            IndexHeadInsert
    """,
    "bodies are passed on as they are": """
        core: SetOutputFilter SetInputFilter
        mod_mime: AddInputFilter AddOutputFilter
        mod_brotli: BrotliFilterNote BrotliCompressionQuality BrotliCompressionWindow
            BrotliCompressionMaxInputBlock BrotliAlterETag
        mod_buffer: BufferSize
        mod_case_filter: CaseFilter
        mod_case_filter_in: CaseFilterIn
        mod_charset_lite: CharsetSourceEnc CharsetDefault CharsetOptions
        mod_deflate: DeflateFilterNote DeflateWindowSize DeflateBufferSize DeflateMemLevel
            DeflateCompressionLevel DeflateInflateLimitRequestBody DeflateInflateRatioLimit
            DeflateInflateRatioBurst DeflateAlterEtag
        mod_dumpio: DumpIOInput DumpIOOutput
        mod_ext_filter: ExtFilterOptions ExtFilterDefine
        mod_filter: FilterDeclare FilterProvider FilterChain FilterTrace
            AddOutputFilterByType FilterProtocol
        mod_include: XBitHack SSIErrorMsg SSITimeFormat SSIStartTag SSIEndTag
            SSIUndefinedEcho SSILegacyExprParser SSILastModified SSIEtag
        mod_sed: OutputSed InputSed
        mod_substitute: Substitute SubstituteMaxLineLength SubstituteInheritBefore
        mod_xml2enc: xml2EncDefault xml2EncAlias xml2StartParse
    """,
    "responses are not cached": """
        mod_cache: CacheEnable CacheDisable CacheMaxExpire CacheMinExpire CacheDefaultExpire
            CacheQuickHandler CacheIgnoreNoLastMod CacheIgnoreCacheControl CacheStoreExpired
            CacheStorePrivate CacheStoreNoStore CacheIgnoreHeaders CacheIgnoreQueryString
            CacheIgnoreURLSessionIdentifiers CacheLastModifiedFactor CacheLock CacheLockPath
            CacheLockMaxAge CacheHeader CacheDetailHeader CacheKeyBaseURL CacheStaleOnError
        mod_cache_disk: CacheRoot CacheDirLevels CacheDirLength CacheMinFileSize
            CacheMaxFileSize CacheReadSize CacheReadTime
        mod_cache_socache: CacheSocache CacheSocacheMaxTime CacheSocacheMinTime
            CacheSocacheMaxSize CacheSocacheReadSize CacheSocacheReadTime
        mod_socache_memcache: MemcacheConnTTL
        mod_socache_redis: RedisConnPoolTTL RedisTimeout
    """,
    "headers come from the application": """
        mod_cern_meta: MetaFiles MetaDir MetaSuffix
    """,
    "there is no WebDAV": """
        mod_dav: DAV DAVBasePath DAVMinTimeout DAVDepthInfinity DAVLockDiscovery
        mod_dav_fs: DAVLockDB
        mod_dav_lock: DAVGenericLockDB
    """,
    "headers are passed on as they are": """
        mod_expires: ExpiresActive ExpiresByType ExpiresDefault
    """,
    "it was another module; name the application's socket with SetHandler": """
        mod_fastcgi: FastCgiServer FastCgiExternalServer FastCgiConfig FastCgiIpcDir
            FastCgiWrapper FastCgiAuthenticator FastCgiAuthorizer FastCgiAccessChecker
    """,
    "processes are not started here; name the application's socket with SetHandler": """
        mod_fcgid: FcgidAccessChecker FcgidAccessCheckerAuthoritative FcgidAuthenticator
            FcgidAuthenticatorAuthoritative FcgidAuthorizer FcgidAuthorizerAuthoritative
            FcgidBusyScanInterval FcgidBusyTimeout FcgidCmdOptions FcgidConnectTimeout
            FcgidErrorScanInterval FcgidFixPathinfo FcgidIdleScanInterval FcgidIdleTimeout
            FcgidInitialEnv FcgidIOTimeout FcgidIPCDir FcgidMaxProcesses
            FcgidMaxProcessesPerClass FcgidMaxRequestInMem FcgidMaxRequestLen
            FcgidMaxRequestsPerProcess FcgidMinProcessesPerClass FcgidOutputBufferSize
            FcgidPassHeader FcgidPHPFixPathinfoEnable FcgidProcessLifeTime
            FcgidProcessTableFile FcgidSpawnScore FcgidSpawnScoreUpLimit
            FcgidTerminationScore FcgidTimeScore FcgidWin32PreventOrphans FcgidWrapper
            FcgidZombieScanInterval
    """,
    "members do not announce themselves": """
        mod_heartbeat: HeartbeatAddress
    """,
    "HTTP/2 is spoken by a twisted.web site in front": """
        mod_http2: H2MaxSessionStreams H2WindowSize H2MinWorkers H2MaxWorkers
            H2MaxWorkerIdleSeconds H2StreamMaxMemSize H2SerializeHeaders H2ModernTLSOnly
            H2Upgrade H2Direct H2SessionExtraFiles H2TLSWarmUpSize H2TLSCoolDownSecs H2Push
            H2PushPriority H2PushDiarySize H2CopyFiles H2PushResource H2EarlyHints H2Padding
            H2OutputBuffering H2StreamTimeout H2MaxDataFrameLen H2MaxHeaderBlockLen
            H2MaxStreamErrors H2EarlyHint H2ProxyRequests H2WebSockets
    """,
    "clients are not asked for users' names": """
        mod_ident: IdentityCheck IdentityCheckTimeout
    """,
    "there is no access log in httpd's formats": """
        mod_log_config: CustomLog GlobalLog TransferLog LogFormat BufferedLogs
    """,
    "no code of others runs inside this server": """
        mod_lua: LuaRoot LuaPackagePath LuaPackageCPath LuaAuthzProvider
            LuaHookPreTranslateName <LuaHookPreTranslateName LuaHookTranslateName
            <LuaHookTranslateName LuaHookFixups <LuaHookFixups LuaHookMapToStorage
            <LuaHookMapToStorage LuaHookCheckUserID <LuaHookCheckUserID LuaHookTypeChecker
            <LuaHookTypeChecker LuaHookAccessChecker <LuaHookAccessChecker
            LuaHookAuthChecker <LuaHookAuthChecker LuaHookInsertFilter LuaHookLog LuaScope
            LuaInherit LuaCodeCache LuaQuickHandler <LuaQuickHandler LuaMapHandler
            LuaOutputFilter LuaInputFilter
    """,
    "there are no macros; Define and ${} take values": """
        mod_macro: <Macro Use UndefMacro MacroIgnoreEmptyArgs MacroIgnoreBadNesting
    """,
    'TLS is that of the endpoint: Listen "ssl:443:privateKey=key.pem:certKey=cert.pem"': """
        mod_md: MDCertificateAuthority MDCertificateAgreement MDCAChallenges
            MDCertificateProtocol MDContactEmail MDDriveMode MDRenewMode MDomain <MDomainSet
            <MDomain MDMember MDMembers MDMustStaple MDPortMap MDPrivateKeys MDHttpProxy
            MDStoreDir MDRenewWindow MDRequireHttps MDNotifyCmd MDBaseServer
            MDChallengeDns01 MDChallengeDns01Version MDCertificateFile MDCertificateKeyFile
            MDServerStatus MDCertificateStatus MDWarnWindow MDMessageCmd MDStapling
            MDStapleOthers MDStaplingKeepResponse MDStaplingRenewWindow MDCertificateCheck
            MDActivationDelay MDCACertificateFile MDHttpProxyCACertificateFile
            MDExternalAccountBinding MDRetryDelay MDRetryFailover MDStoreLocks MDMatchNames
            MDInitialDelay MDCheckInterval MDProfile MDProfileMandatory MDRenewViaARI
        mod_ssl: SSLPassPhraseDialog SSLSessionCache SSLCryptoDevice SSLRandomSeed
            SSLVHostSNIPolicy SSLEngine SSLFIPS SSLCipherSuite SSLCertificateFile
            SSLCertificateKeyFile SSLCertificateChainFile SSLSessionTicketKeyFile
            SSLCACertificatePath SSLCACertificateFile SSLCADNRequestPath SSLCADNRequestFile
            SSLCARevocationPath SSLCARevocationFile SSLCARevocationCheck SSLVerifyClient
            SSLVerifyDepth SSLSessionCacheTimeout SSLProtocol SSLHonorCipherOrder
            SSLCompression SSLSessionTickets SSLInsecureRenegotiation SSLUserName
            SSLStrictSNIVHostCheck SSLSRPVerifierFile SSLSRPUnknownUserSeed SSLOptions
            SSLRequireSSL SSLRequire SSLRenegBufferSize
            SSLOCSPEnable SSLOCSPDefaultResponder SSLOCSPOverrideResponder
            SSLOCSPResponseTimeSkew SSLOCSPResponseMaxAge SSLOCSPResponderTimeout
            SSLOCSPUseRequestNonce SSLOCSPProxyURL SSLOCSPNoVerify
            SSLOCSPResponderCertificateFile SSLStaplingCache SSLUseStapling
            SSLStaplingResponseTimeSkew SSLStaplingResponderTimeout
            SSLStaplingResponseMaxAge SSLStaplingStandardCacheTimeout
            SSLStaplingReturnResponderErrors SSLStaplingFakeTryLater
            SSLStaplingErrorCacheTimeout SSLStaplingForceURL SSLOpenSSLConfCmd SSLLog
            SSLLogLevel
        mod_tls: TLSEngine TLSCertificate TLSCiphersPrefer TLSCiphersSuppress
            TLSHonorClientOrder TLSOptions TLSProtocol TLSProxyEngine TLSProxyCA
            TLSProxyProtocol TLSProxyCiphersPrefer TLSProxyCiphersSuppress
            TLSProxyMachineCertificate TLSSessionCache TLSStrictSNI
    """,
    "TLS to members has SSLProxyCACertificateFile, SSLProxyVerify and few others": """
        mod_ssl: SSLProxyEngine SSLProxyProtocol SSLProxyCipherSuite SSLProxyVerify
            SSLProxyVerifyDepth SSLProxyCACertificateFile SSLProxyCACertificatePath
            SSLProxyCARevocationPath SSLProxyCARevocationFile SSLProxyCARevocationCheck
            SSLProxyMachineCertificateFile SSLProxyMachineCertificatePath
            SSLProxyMachineCertificateChainFile SSLProxyCheckPeerExpire SSLProxyCheckPeerCN
            SSLProxyCheckPeerName
    """,
    "types of files go by their names": """
        mod_mime_magic: MimeMagicFile
    """,
    "there is no content negotiation": """
        mod_negotiation: CacheNegotiatedDocs LanguagePriority ForceLanguagePriority
    """,
    "PHP runs in php-fpm, which reads its own php.ini": """
        mod_php: PHPIniDir
    """,
    (
        "PHP runs in php-fpm: its pool's file takes php_value[NAME] = VALUE, "
        'or here, for all that the pool serves: SetEnv PHP_VALUE "NAME = VALUE"'
    ): """
        mod_php: php_value php_flag
    """,
    (
        "PHP runs in php-fpm: its pool's file takes php_admin_value[NAME] = VALUE, "
        'or here, for all that the pool serves: SetEnv PHP_ADMIN_VALUE "NAME = VALUE"'
    ): """
        mod_php: php_admin_value php_admin_flag
    """,
    "it concerns httpd's own process": """
        mod_privileges: VHostUser VHostGroup VHostSecure VHostCGIMode DTracePrivileges
            PrivilegesMode VHostPrivs VHostCGIPrivs
        mod_unixd: User Group ChrootDir Suexec
        mod_watchdog: WatchdogInterval
        mpm: ListenBacklog ListenCoresBucketsRatio Listen SendBufferSize ReceiveBufferSize
            ListenTCPDeferAccept StartServers ServerLimit MinSpareThreads MaxSpareThreads
            MaxClients MaxRequestWorkers ThreadsPerChild ThreadLimit
            AsyncRequestWorkerFactor GracefulShutdownTimeout MinSpareServers MaxSpareServers
    """,
    "requests are not passed on to another proxy": """
        mod_proxy: ProxyRemote ProxyRemoteMatch
    """,
    "only FastCGI applications are proxied to": """
        mod_proxy_connect: AllowCONNECT
        mod_proxy_express: ProxyExpressEnable ProxyExpressDBMFile ProxyExpressDBMType
        mod_proxy_ftp: ProxyFtpListOnWildcard ProxyFtpEscapeWildcards ProxyFtpDirCharset
        mod_proxy_html: ProxyHTMLEvents ProxyHTMLLinks ProxyHTMLURLMap ProxyHTMLDoctype
            ProxyHTMLFixups ProxyHTMLMeta ProxyHTMLInterp ProxyHTMLExtended
            ProxyHTMLStripComments ProxyHTMLBufSize ProxyHTMLCharsetOut ProxyHTMLEnable
        mod_proxy_scgi: ProxySCGISendfile ProxySCGIInternalRedirect
        mod_proxy_wstunnel: ProxyWebsocketFallbackToProxyHttp
    """,
    "the client's address is the connection's": """
        mod_remoteip: RemoteIPHeader RemoteIPProxiesHeader RemoteIPTrustedProxy
            RemoteIPInternalProxy RemoteIPTrustedProxyList RemoteIPInternalProxyList
            RemoteIPProxyProtocol RemoteIPProxyProtocolExceptions
    """,
    "URLs are not rewritten": """
        mod_rewrite: RewriteEngine RewriteOptions RewriteBase RewriteCond RewriteRule
            RewriteMap
    """,
    "sessions are the application's": """
        mod_session: Session SessionMaxAge SessionHeader SessionEnv SessionInclude
            SessionExclude SessionExpiryUpdateInterval
        mod_session_cookie: SessionCookieName SessionCookieName2 SessionCookieRemove
        mod_session_crypto: SessionCryptoPassphrase SessionCryptoPassphraseFile
            SessionCryptoCipher SessionCryptoDriver
        mod_session_dbd: SessionDBDSelectLabel SessionDBDInsertLabel SessionDBDUpdateLabel
            SessionDBDDeleteLabel SessionDBDPerUser SessionDBDCookieRemove
            SessionDBDCookieName SessionDBDCookieName2
    """,
    "there are no modules to load": """
        mod_so: LoadModule LoadFile
    """,
    "names of files are taken as they are": """
        mod_speling: CheckSpelling CheckCaseOnly CheckBasenameMatch
    """,
    "there are no users' directories": """
        mod_userdir: UserDir
    """,
    "no cookies are set here": """
        mod_usertrack: CookieExpires CookieDomain CookieStyle CookieTracking CookieName
            CookieSameSite CookieSecure CookieHttpOnly
    """,
    "each virtual host is written down": """
        mod_vhost_alias: VirtualScriptAlias VirtualDocumentRoot VirtualScriptAliasIP
            VirtualDocumentRootIP
    """,
}


def foreignDirectives() -> Iterator[Foreign]:
    """All of them; made when somebody asks, since few configurations have one."""
    for reason, names in _MODULES.items():
        module = ""
        for name in names.split():
            if name.endswith(":"):
                module = name[:-1]
            else:
                yield Foreign(name, module, reason)
