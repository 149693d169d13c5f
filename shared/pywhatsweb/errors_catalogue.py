"""The texts of the error catalogue: data only, read through `pywhatsweb.errors`.

A line is: code, HTTP status, severity, retryable, then message and action in English, then both in Portuguese.
`retryable` tells whether the same request may succeed later without a change.
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    code: str
    http_status: int
    severity: str
    retryable: bool
    message: str
    action: str
    message_pt: str
    action_pt: str


# fmt: off
ENTRIES: tuple[Entry, ...] = tuple(Entry(*row) for row in (
    # The body of a command or a request.
    ("E_MALFORMED_BODY", 400, "low", False, "The body is neither MessagePack nor JSON.", "Send one map in either form.", "O corpo não é MessagePack nem JSON.", "Envie um mapa em um dos dois formatos."),
    ("E_BODY_TOO_LARGE", 413, "low", False, "The body is larger than allowed.", "Upload media with media.put and send its id.", "O corpo é maior que o permitido.", "Envie a mídia com media.put e use o id dela."),
    ("E_INVALID_FIELD", 400, "low", False, "A field has a wrong type or value.", "Correct the field at `path`.", "Um campo tem tipo ou valor errado.", "Corrija o campo indicado em `path`."),
    ("E_MISSING_FIELD", 400, "low", False, "A required field is missing.", "Add the field named in `field`.", "Falta um campo obrigatório.", "Inclua o campo indicado em `field`."),
    ("E_UNSUPPORTED_TYPE", 400, "low", False, "This type is not supported.", "Use a type from the schema that the session's engine is capable of.", "Este tipo não é suportado.", "Use um tipo do esquema que o motor da sessão suporte."),
    ("E_UNKNOWN_VERB", 404, "low", False, "There is no such command or request.", "Check the last part of the subject.", "Comando ou requisição inexistente.", "Confira a última parte do assunto."),
    ("E_NOT_IMPLEMENTED", 501, "low", False, "This is not offered yet.", "Check the changelog for the version that offers it.", "Ainda não é oferecido.", "Veja no changelog a versão que oferece."),
    ("E_INVALID_COMMAND_ID", 400, "low", False, "The command id is not 1 to 128 printable characters.", "Use a shorter, printable id.", "O id do comando não tem de 1 a 128 caracteres imprimíveis.", "Use um id imprimível mais curto."),
    ("E_INVALID_TIMESTAMP", 400, "low", False, "A time is not ISO-8601 with a zone.", "Add the offset, such as -03:00 or Z.", "Um horário não é ISO-8601 com fuso.", "Inclua o fuso, como -03:00 ou Z."),
    ("E_INVALID_CURSOR", 400, "low", False, "The cursor is not one that a list returned.", "Start again without a cursor.", "O cursor não veio de uma listagem.", "Recomece sem cursor."),
    ("E_EMPTY_TEXT", 400, "low", False, "The text is empty.", "Send at least one visible character.", "O texto está vazio.", "Envie ao menos um caractere visível."),
    ("E_TEXT_TOO_LONG", 400, "low", False, "The text is longer than WhatsApp allows.", "Split it at `limit` characters.", "O texto é maior que o WhatsApp permite.", "Divida em partes de até `limit` caracteres."),
    ("E_CAPTION_TOO_LONG", 400, "low", False, "The caption is longer than WhatsApp allows.", "Send the rest as a text message.", "A legenda é maior que o WhatsApp permite.", "Envie o restante como mensagem de texto."),
    ("E_INVALID_POLL", 400, "low", False, "The poll is not 2 to 12 different options.", "Correct the options.", "A enquete não tem de 2 a 12 opções diferentes.", "Corrija as opções."),
    ("E_INVALID_INTERACTIVE", 400, "low", False, "The interactive message breaks WhatsApp's limits.", "Correct the field at `path`.", "A mensagem interativa viola limites do WhatsApp.", "Corrija o campo indicado em `path`."),
    ("E_INVALID_TEMPLATE", 400, "low", False, "The template or its parameters do not fit.", "Compare name, language and components with the template.", "O modelo ou seus parâmetros não conferem.", "Compare nome, idioma e componentes com o modelo."),

    # Whom and when.
    ("E_INVALID_PHONE", 400, "low", False, "The recipient is not a phone number.", "Use E.164 (+5511…), or a national number of the tenant's region.", "O destinatário não é um telefone válido.", "Use E.164 (+5511…) ou um número nacional da região."),
    ("E_INVALID_RECIPIENT", 400, "low", False, "The recipient cannot get this message.", "Name a person, a LID or a group.", "O destinatário não pode receber esta mensagem.", "Indique uma pessoa, um LID ou um grupo."),
    ("E_NOT_ON_WHATSAPP", 404, "low", False, "The number has no WhatsApp account.", "Check the number with contact.check.", "O número não tem conta no WhatsApp.", "Verifique o número com contact.check."),
    ("E_EXPIRED", 410, "low", False, "The command's time was over before it could be sent.", "Send it again with a later expires_at, if it still matters.", "O prazo do comando acabou antes do envio.", "Reenvie com expires_at maior, se ainda fizer sentido."),
    ("E_SEND_AT_PAST", 400, "low", False, "send_at lies in the past.", "Leave it out to send now.", "send_at está no passado.", "Retire o campo para enviar agora."),
    ("E_SEND_AT_TOO_FAR", 400, "low", False, "send_at lies too far ahead.", "Schedule it nearer to its time.", "send_at está longe demais.", "Agende mais perto da data."),
    ("E_DUPLICATE_ID", 409, "medium", False, "This id was used for another content.", "Give each message its own id.", "Este id já foi usado com outro conteúdo.", "Dê um id próprio a cada mensagem."),
    ("E_CANCEL_TOO_LATE", 409, "low", False, "The command was already being sent.", "Delete the message for everyone instead.", "O comando já estava sendo enviado.", "Apague a mensagem para todos."),
    ("E_CANCELLED", 410, "low", False, "The command was cancelled.", "None is needed.", "O comando foi cancelado.", "Nenhuma ação é necessária."),
    ("E_COMMAND_NOT_FOUND", 404, "low", False, "No command has this id.", "Check the id and the session.", "Nenhum comando tem este id.", "Confira o id e a sessão."),
    ("E_MESSAGE_NOT_FOUND", 404, "low", False, "No message has this id.", "Check message_id and the chat.", "Nenhuma mensagem tem este id.", "Confira message_id e a conversa."),
    ("E_EDIT_TOO_LATE", 409, "low", False, "WhatsApp no longer allows an edit of this message.", "Send a new message.", "O WhatsApp não permite mais editar esta mensagem.", "Envie uma nova mensagem."),
    ("E_DELETE_TOO_LATE", 409, "low", False, "WhatsApp no longer allows deleting this message for everyone.", "Delete it for yourself.", "O WhatsApp não permite mais apagar esta mensagem para todos.", "Apague só para você."),

    # Limits.
    ("E_QUEUE_FULL", 429, "medium", True, "The session's queue is full.", "Publish again when it has drained; check that the session is connected.", "A fila da sessão está cheia.", "Publique de novo quando esvaziar; confira se a sessão está conectada."),
    ("E_QUOTA_EXCEEDED", 429, "medium", True, "The tenant's quota is used up.", "Wait for the next period or raise the quota.", "A cota do tenant acabou.", "Aguarde o próximo período ou aumente a cota."),
    ("E_RATE_LIMITED", 429, "low", True, "Too many requests in a short time.", "Wait as long as `retry_after_ms` says.", "Muitas requisições em pouco tempo.", "Aguarde o tempo em `retry_after_ms`."),
    ("E_SESSION_LIMIT", 429, "medium", False, "The tenant has as many sessions as it may.", "Delete one or raise the limit.", "O tenant atingiu o limite de sessões.", "Exclua uma ou aumente o limite."),

    # Who asks.
    ("E_AUTHENTICATION_FAILED", 401, "high", False, "The credentials are wrong.", "Check user, password or API key.", "Falha na autenticação.", "Confira usuário, senha ou chave de API."),
    ("E_FORBIDDEN", 403, "medium", False, "The credentials do not allow this.", "Ask for the right, or use other credentials.", "As credenciais não permitem isto.", "Peça a permissão ou use outras credenciais."),
    ("E_INVALID_TENANT_ID", 400, "low", False, "The tenant's name is not [a-z0-9][a-z0-9_-]{0,62}.", "Use lower-case letters, digits, _ and -.", "O nome do tenant não é [a-z0-9][a-z0-9_-]{0,62}.", "Use minúsculas, dígitos, _ e -."),
    ("E_TENANT_NOT_FOUND", 404, "medium", False, "There is no such tenant.", "Check the name or create it.", "Tenant não encontrado.", "Confira o nome ou crie o tenant."),
    ("E_TENANT_MISMATCH", 403, "high", False, "The body names another tenant than the subject.", "Use the tenant's own subjects.", "O corpo cita outro tenant que não o do assunto.", "Use os assuntos do próprio tenant."),
    ("E_TENANT_SUSPENDED", 403, "high", False, "The tenant is suspended.", "Ask the operator.", "O tenant está suspenso.", "Fale com o operador."),

    # Sessions.
    ("E_INVALID_SESSION_ID", 400, "low", False, "The session's name is not [a-z0-9][a-z0-9_-]{0,62}.", "Use lower-case letters, digits, _ and -.", "O nome da sessão não é [a-z0-9][a-z0-9_-]{0,62}.", "Use minúsculas, dígitos, _ e -."),
    ("E_SESSION_NOT_FOUND", 404, "medium", False, "There is no such session.", "Check session_id or start the session.", "Sessão não encontrada", "Verificar se o session_id está correto ou iniciar a sessão."),
    ("E_SESSION_ALREADY_EXISTS", 409, "low", False, "A session has this name already.", "Use another name, or session.restart.", "Já existe uma sessão com este nome.", "Use outro nome ou session.restart."),
    ("E_SESSION_NOT_READY", 409, "medium", True, "The session is not connected.", "Wait for status WORKING.", "A sessão não está conectada.", "Aguarde o status WORKING."),
    ("E_SESSION_STOPPED", 409, "medium", False, "The session is stopped.", "Start it with session.start.", "A sessão está parada.", "Inicie com session.start."),
    ("E_SESSION_LOGGED_OUT", 401, "high", False, "The device was unlinked from WhatsApp.", "Start the session and pair it again.", "O dispositivo foi desvinculado do WhatsApp.", "Inicie a sessão e pareie de novo."),
    ("E_SESSION_REPLACED", 409, "high", False, "Another connection took the session's place (440).", "Close the other connection, then restart the session.", "Outra conexão tomou o lugar da sessão (440).", "Feche a outra conexão e reinicie a sessão."),
    ("E_SESSION_FAILED", 500, "high", False, "The session cannot go on.", "Read its reason; log out and pair again if its credentials are broken.", "A sessão não pode continuar.", "Veja o motivo; desvincule e pareie de novo se as credenciais quebraram."),
    ("E_PAIRING_TIMEOUT", 408, "medium", True, "Nobody scanned the code in time.", "Start the session again and scan at once.", "Ninguém leu o código a tempo.", "Inicie a sessão de novo e leia logo."),
    ("E_PAIRING_REFUSED", 403, "medium", False, "WhatsApp refused the pairing.", "Check the number and the count of linked devices.", "O WhatsApp recusou o pareamento.", "Confira o número e a quantidade de aparelhos conectados."),
    ("E_QR_NOT_AVAILABLE", 404, "low", True, "The session shows no QR code now.", "Start it, or wait for the qr event.", "A sessão não tem QR code agora.", "Inicie a sessão ou aguarde o evento qr."),
    ("E_PROXY_FAILED", 502, "medium", True, "The session's proxy cannot be reached.", "Check its address and credentials.", "O proxy da sessão não responde.", "Confira endereço e credenciais."),

    # WhatsApp's answers.
    ("E_ACK_TIMEOUT", 504, "high", False, "WhatsApp did not confirm the message in time; it may have been sent.", "Look it up with message.status before you send it again.", "O WhatsApp não confirmou a tempo; a mensagem pode ter saído.", "Consulte message.status antes de reenviar."),
    ("E_CONNECTION_LOST", 503, "medium", True, "The connection to WhatsApp broke.", "None: the session reconnects and goes on.", "A conexão com o WhatsApp caiu.", "Nenhuma: a sessão reconecta e continua."),
    ("E_WHATSAPP_REJECTED", 422, "medium", False, "WhatsApp refused the message.", "Look at WhatsApp's number in `details`.", "O WhatsApp recusou a mensagem.", "Veja o número do WhatsApp em `details`."),
    ("E_WHATSAPP_REACHOUT_LIMITED", 403, "high", False, "WhatsApp limits this account's new conversations (463).", "Slow down; let people write first.", "O WhatsApp limita novas conversas desta conta (463).", "Reduza o ritmo; deixe as pessoas iniciarem."),
    ("E_WHATSAPP_STALE_SESSION", 409, "medium", True, "WhatsApp does not know the recipient's device keys that were used (479).", "None: keys are renewed and the message is sent again.", "As chaves do destinatário estavam velhas (479).", "Nenhuma: as chaves são renovadas e a mensagem reenviada."),
    ("E_WHATSAPP_ADDRESSING", 409, "medium", True, "The chat is addressed by another kind of id (421).", "None: it is sent again with the other id.", "A conversa usa outro tipo de endereço (421).", "Nenhuma: é reenviada com o outro endereço."),
    ("E_WHATSAPP_RATE_LIMITED", 429, "high", True, "WhatsApp asks this account to slow down.", "Lower the session's pacing.", "O WhatsApp pede para reduzir o ritmo.", "Reduza o ritmo da sessão."),
    ("E_WHATSAPP_BANNED", 403, "critical", False, "WhatsApp banned the account.", "Stop the session and ask WhatsApp for a review on the phone.", "O WhatsApp baniu a conta.", "Pare a sessão e peça revisão ao WhatsApp pelo aparelho."),
    ("E_WHATSAPP_2FA_REQUIRED", 400, "high", False, "The account asks for its two-step PIN or passkey.", "Confirm it on the phone, then pair again.", "A conta pede o PIN de duas etapas ou a passkey.", "Confirme no aparelho e pareie de novo."),
    ("E_WHATSAPP_UNAVAILABLE", 503, "high", True, "WhatsApp is not available.", "None: the session tries again.", "O WhatsApp está indisponível.", "Nenhuma: a sessão tenta de novo."),
    ("E_WHATSAPP_MULTIDEVICE_MISMATCH", 409, "high", False, "WhatsApp refused the linked device's version (411).", "Update the gateway, then pair again.", "O WhatsApp recusou a versão do dispositivo (411).", "Atualize o gateway e pareie de novo."),
    ("E_WHATSAPP_BAD_SESSION", 500, "high", False, "The stored credentials are broken (500).", "Log out and pair again.", "As credenciais guardadas estão quebradas (500).", "Desvincule e pareie de novo."),
    ("E_UNDECRYPTABLE", 422, "medium", True, "A message could not be decrypted; its sender was asked again.", "None.", "Uma mensagem não pôde ser decifrada; o reenvio foi pedido.", "Nenhuma."),
    ("E_CERTIFICATE_REFUSED", 495, "critical", False, "The server's certificate is not signed by the expected root.", "Check the network and PWW_WHATSAPP_ROOT_KEY: somebody may be in between.", "O certificado do servidor não é assinado pela raiz esperada.", "Confira a rede e PWW_WHATSAPP_ROOT_KEY: pode haver interceptação."),

    # Media.
    ("E_MEDIA_SOURCE", 400, "low", False, "A media message names not exactly one of id, link and data.", "Give one of the three.", "A mídia não traz exatamente um entre id, link e data.", "Informe um dos três."),
    ("E_MEDIA_TOO_LARGE", 400, "low", False, "The file is too large.", "Compress it or send a link.", "Arquivo muito grande.", "Comprima o arquivo ou envie um link."),
    ("E_MEDIA_NOT_FOUND", 404, "low", False, "No media has this id.", "Upload it with media.put.", "Nenhuma mídia tem este id.", "Envie com media.put."),
    ("E_MEDIA_TYPE_UNSUPPORTED", 415, "low", False, "WhatsApp does not take this kind of file here.", "Convert it or send it as a document.", "O WhatsApp não aceita este tipo de arquivo aqui.", "Converta ou envie como documento."),
    ("E_MEDIA_TYPE_MISMATCH", 415, "medium", False, "The file is not what its type says.", "Correct mime_type.", "O arquivo não é do tipo declarado.", "Corrija mime_type."),
    ("E_MEDIA_CORRUPT", 422, "low", False, "The file cannot be read or would unpack to too much.", "Send a sound file.", "O arquivo não pode ser lido ou se expande demais.", "Envie um arquivo íntegro."),
    ("E_MEDIA_LINK_REFUSED", 400, "medium", False, "The link's address may not be fetched.", "Use a public https address.", "O endereço do link não pode ser acessado.", "Use um endereço https público."),
    ("E_MEDIA_DOWNLOAD_FAILED", 502, "medium", True, "The media could not be fetched.", "Check that the link answers.", "A mídia não pôde ser baixada.", "Confira se o link responde."),
    ("E_MEDIA_UPLOAD_FAILED", 502, "medium", True, "The media could not be uploaded to WhatsApp.", "None: it is tried again.", "A mídia não pôde ser enviada ao WhatsApp.", "Nenhuma: nova tentativa será feita."),
    ("E_MEDIA_EXPIRED", 410, "low", False, "WhatsApp no longer has this media.", "Ask the sender for it again.", "O WhatsApp não tem mais esta mídia.", "Peça à pessoa que reenvie."),
    ("E_MEDIA_DECRYPT_FAILED", 422, "medium", False, "The media did not decrypt to what was announced.", "Ask the sender for it again.", "A mídia não pôde ser decifrada.", "Peça à pessoa que reenvie."),

    # Chats, contacts, groups, data.
    ("E_CHAT_NOT_FOUND", 404, "low", False, "There is no such chat.", "Check the number or the key.", "Conversa não encontrada.", "Confira o número ou a chave."),
    ("E_CONTACT_NOT_FOUND", 404, "low", False, "There is no such contact.", "Check the number.", "Contato não encontrado.", "Confira o número."),
    ("E_GROUP_NOT_FOUND", 404, "low", False, "There is no such group, or the account is not in it.", "Check the id.", "Grupo não encontrado, ou a conta não participa.", "Confira o id."),
    ("E_NOT_GROUP_ADMIN", 403, "low", False, "Only the group's administrators may do this.", "Make the account an administrator.", "Só administradores do grupo podem fazer isto.", "Torne a conta administradora."),
    ("E_INVALID_TRANSITION", 409, "low", False, "The chat cannot go from its status to this one.", "Read the chat again.", "A conversa não pode passar do status atual para este.", "Leia a conversa de novo."),
    ("E_CONFLICT", 409, "low", True, "Somebody else changed it in between.", "Read it again, then repeat.", "Outra pessoa alterou antes.", "Leia de novo e repita."),
    ("E_DEADLETTER_NOT_FOUND", 404, "low", False, "There is no such dead letter.", "List them again.", "Mensagem morta não encontrada.", "Liste de novo."),
    ("E_POISON", 500, "high", False, "The message failed at every try and was set aside.", "Read the reason, then redrive or drop it.", "A mensagem falhou em todas as tentativas e foi separada.", "Veja o motivo e reenvie ou descarte."),
    ("E_WEBHOOK_FAILED", 502, "medium", True, "The webhook did not answer with success.", "Check the receiver.", "O webhook não respondeu com sucesso.", "Confira o receptor."),

    # The fleet itself.
    ("E_SIDECAR_PROTOCOL", 500, "critical", False, "Worker and sidecar speak different protocol versions.", "Install both from the same release.", "Worker e sidecar falam versões diferentes.", "Instale ambos da mesma versão."),
    ("E_SIDECAR_CRASHED", 503, "high", True, "The engine's process ended.", "None: it is started again.", "O processo do motor terminou.", "Nenhuma: ele é reiniciado."),
    ("E_ENGINE_UNAVAILABLE", 503, "high", False, "This engine is not installed or not allowed.", "Choose another one, or install it.", "Este motor não está instalado ou permitido.", "Escolha outro ou instale-o."),
    ("E_ENGINE_ERROR", 500, "high", True, "The engine failed inside.", "None: it is tried again; report it if it goes on.", "O motor falhou internamente.", "Nenhuma: nova tentativa; avise se persistir."),
    ("E_NOT_OWNER", 409, "medium", True, "The worker no longer owns the session.", "None: the owner goes on.", "O worker não é mais dono da sessão.", "Nenhuma: o dono continua."),
    ("E_BROKER_UNAVAILABLE", 503, "critical", True, "The broker does not answer.", "Check nats-server.", "O broker não responde.", "Confira o nats-server."),
    ("E_STORAGE_UNAVAILABLE", 503, "critical", True, "The database or object store does not answer.", "Check them.", "O banco ou o armazenamento não responde.", "Confira ambos."),
    ("E_STORAGE_CORRUPT", 500, "critical", False, "Stored data does not decrypt or verify.", "Check the encryption key; restore a backup.", "Dados guardados não conferem.", "Confira a chave; restaure um backup."),
    ("E_TIMEOUT", 504, "medium", True, "There was no answer in time.", "Try again.", "Não houve resposta a tempo.", "Tente de novo."),
    ("E_SHUTTING_DOWN", 503, "low", True, "The service is stopping.", "Try again: another one takes over.", "O serviço está parando.", "Tente de novo: outro assume."),
    ("E_CONFIG_INVALID", 500, "critical", False, "A setting is missing or wrong.", "Correct the setting named in `details`.", "Uma configuração falta ou está errada.", "Corrija a configuração indicada em `details`."),
    ("E_INTERNAL", 500, "critical", False, "Something failed that should not.", "Report it with the trace id.", "Ocorreu uma falha inesperada.", "Informe com o trace id."),
))
# fmt: on
