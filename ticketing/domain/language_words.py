"""Common words of the served and of some unserved languages, and words that say nothing.

The example sentences of `data/nlu` teach the words of the trade; these lists add the small words
that every language is made of, so that a customer's first "hi" or "gracias" is known even where no
example holds it. Words are lower case; a copy without accents is made from each when they are read.
"""

from __future__ import annotations

from collections.abc import Mapping

LAUGHTER = "kkk"  # what `language_model.words_of` makes of every Brazilian laugh

COMMON: Mapping[str, str] = {
    "pt": """
    kkk
    oi oie olá alô opa eai eae oba bom boa dia tarde noite tudo bem certo beleza blz td obrigado
    obrigada obg brigado brigada valeu vlw tchau até logo mais abraço sim não nao n nn ss isso aham
    claro pode poderia por favor pfv pfvr gentileza desculpa desculpe perdão ajuda ajudar socorro
    eu tu você voce vc vcs vocês ele ela nós eles elas me te lhe se nos meu minha meus minhas seu
    sua seus suas nosso nossa o a os as um uma uns umas de do da dos das em no na nos nas num numa
    por pelo pela pelos pelas para pra pro pras pros com sem sob sobre entre até desde ao aos à e ou
    mas porém porque pq por quê que quê q qual quais quem quando onde aonde como quanto quantos
    quanta já ainda agora agr hoje ontem amanhã sempre nunca também tbm tb só muito muita mto mt
    pouco tanto demais bastante mais menos aqui aí ai ali lá isto esse essa este esta aquele aquela
    aquilo nada nenhum ninguém alguém algum alguma algo tudo todos todas cada outro outra mesmo
    é eh era foi foram ser sou somos são sao estou tô to está tá ta estão tão estava tava tem tenho
    temos têm tinha ter teve vou vai vamos vão ir fui indo quero quer queria querem queremos querer
    gostaria preciso precisa precisava consigo consegue posso podem fazer faz faço fiz fez feito
    dizer diz disse falar fala falo falei falou ver vi viu saber sei sabe dar dá deu dei pegar
    chegou chega chegar veio vem vir receber recebi recebeu comprei compra comprar paguei pagar pago
    pedi pedir pediu mandar manda mandei mandou enviar enviaram entregar entregou entrega encomenda
    esperar esperando espero demora demorando cadê kd pedido pedidos boleto fatura conta nota fiscal
    segunda via senha cartão dinheiro reembolso estorno devolução devolver troca trocar cancelar
    cancela cancelamento pagamento cobrança cobrado cobraram produto loja entregador atendente
    atendimento gente pessoa moça moço problema errado errada quebrado quebrada rastreio rastrear
    endereço cadastro celular telefone número nome rua dúvida informação novo nova grande dois duas
    três vez vezes semana mês ano dias hora horas então depois antes assim pois né ne tipo cara
    mano porra caralho merda droga inglês espanhol português língua
    idioma dentro fora cima baixo perto longe casa trabalho cidade país mundo vida homem mulher
    menino menina filho filha pai mãe irmão irmã amigo amiga amigos cachorro gato comida água leite
    pão carne carro roupa sapato livro porta calor frio chuva chove chovendo tempo coisa coisas
    parte lugar lado melhor pior grande pequeno bom velho jovem vermelho preto branco azul verde
    trabalhar viver comer beber dormir sair entrar abrir fechar fecha abre começar terminar seguir
    colocar tirar chamar chama levar trazer achar acho pensar penso entender entendi entendo conheço
    parece gosto gosta falta funciona funcionam serve serviu arrumar consertar esqueci bloqueada
    bloqueado barato caro preço custa voo voos oferta ofertas doente feliz triste cansado cansada
    nossa gostei ruim péssimo ótimo legal""",
    "en": """
    hi hello hey hiya good morning afternoon evening night thanks thank thx thankyou welcome bye
    goodbye see later yes yeah yep nope not sure okay alright fine great please pls plz sorry excuse
    help i i'm im i've i'd i'll you you're your yours u he she it it's we they me him her us them my
    mine our their his its the an this that these those there here and or but so because if then
    than when where what which who whom whose why how is are was were am be been being do does did
    don't doesn't didn't done have has had haven't hasn't having can can't cannot could couldn't
    would wouldn't will won't should may might must shall get got getting give gave go going gone
    went come came want wanted need needed like know think say said tell told see saw look looking
    make made take took put use used using work works working let keep still yet already never
    always ever again now today yesterday tomorrow soon just only also too very really much many
    more most some any anyone someone anything something nothing everything all every each other
    another same few little long of at by for with without from to into out about over under after
    before between through during off up down back away between until since while as on
    order orders ordered package parcel shipping shipped ship arrive arrived arriving received
    receive waiting wait late delay delayed refund return returned money charged charge bill invoice
    payment pay paid price buy bought purchase item product broken damaged wrong missing lost card
    account change address phone number name first last issue question answer speak
    talk someone person human agent people time day days week weeks month year hour hours new old
    two three one right left english portuguese language cancel canceled cancelled track stop
    happened happen asap language food water house
    home city country world life man woman child boy girl son daughter father mother brother sister
    friend friends dog cat milk bread meat car clothes shoes book door hot cold rain raining weather
    thing things part place side best better worst worse big small good bad old young red black
    live eat drink sleep leave enter open close closed start stop finish follow
    bring believe think understand understood seem seems love hate forgot forgotten blocked locked
    cheap expensive cost costs flight flights joke song movie sick happy sad tired tomorrow
    gonna wanna lol terrible awful awesome cheers neither either both none unacceptable warranty
    website receipt parcels neighbor neighbour driver courier size bigger smaller colour color box
    empty screen battery crashed crashing unable couldnt isnt doesnt cant wont thats whats hows
    wheres theyre kindly regards appreciate appreciated upset annoyed angry disappointed worse
    complain complaint stolen stole hacked lawyer sue fire smoke burning burned burnt gas shock
    january february march april june july august september october november december monday
    tuesday wednesday thursday friday saturday sunday weekend tonight almost maybe perhaps quite
    enough kind sort whole half full busy free closed visit schedule appointment pick picked drop
    dropped sign signed show shows pick-up moved moving travel traveling staying hotel room""",
    "es": """
    hola holaa buenos buenas buen días tardes noches gracias muchas muchísimas adiós chau hasta
    luego pronto mañana sí claro vale bueno bien ok por favor porfa porfavor disculpe disculpa
    perdón perdone señor señora señorita ayuda ayúdame ayudar ayudarme yo tú vos usted ustedes él
    ella nosotros ellos ellas me te le les lo la los las nos mi mis tu tus su sus mío mía nuestro el
    un una unos unas de del al en con sin sobre entre hasta desde para por y e o u pero porque
    aunque si que qué cual cuál cuáles quién quien cuándo cuando dónde donde cómo como cuánto cuánta
    cuántos ya todavía aún ahora hoy ayer siempre nunca también solo sólo muy mucho mucha muchos
    poco tanto demasiado más menos aquí acá ahí allí eso esto ese esa este esta estos estas aquel
    nada ninguno nadie alguien algún alguna algo todo todos todas cada otro otra mismo es era fue
    fueron ser soy somos son estoy está están estaba estamos hay había tengo tiene tienen tenemos
    tenía tener voy va vamos van ir fui quiero quiere quería quieren querer quisiera gustaría
    necesito necesita necesitaba puedo puede pueden puedes podría podrían hacer hace hago hice hizo
    hecho decir dice dijo dime dígame hablar habla hablo hablan hablé ver vi sé saber sabe dar da
    dio dame deme pagar pagué pago pidió pedí pedir llegó llega llegar llegado llegaron llegue vino
    viene recibí recibir recibido compré comprar compra envié enviar enviaron envío envíen entregar
    entregaron entrega paquete esperar esperando espero demora tarda pedido pedidos factura cuenta
    contraseña tarjeta dinero reembolso devolución devolver devuelvan cambiar cambio
    cancelar cancelación pago pagos cobro cobrado cobraron producto tienda repartidor asesor agente
    atención gente persona alguien problema equivocado equivocada roto rota rastrear seguimiento
    dirección registro celular teléfono número nombre calle duda pregunta información nuevo nueva
    dos tres vez veces semana mes año días hora horas entonces después antes así pues no
    español inglés portugués idioma
    adelante atrás dentro fuera arriba abajo cerca lejos casa trabajo ciudad país mundo vida hombre
    mujer niño niña hijo hija padre madre hermano hermana amigo amigos perro gato comida agua leche
    pan carne coche auto carro ropa zapatos libro puerta calor frío lluvia llueve lloviendo tiempo
    cosa cosas parte lugar lado nunca mejor peor grande pequeño bueno malo viejo joven rojo negro
    blanco azul verde trabajar vivir comer beber dormir salir entrar abrir cerrar cierra abre cierre
    empezar terminar seguir poner pongo pone quitar llamar llamo llama llevar traer venir creer creo
    pensar pienso entender entiendo entendí conozco parece gusta gustan encanta falta funciona
    funcionan sirve arreglar olvidé olvidado bloqueada bloqueado barato caro precio cuesta cuestan
    vuelo vuelos hotel noche oferta ofertas enfermo feliz triste cansado ningún
    jaja jajaja jajajaja che pibe mierda joder carajo malo pésimo excelente genial holis mudé
    mudarme cancélenlo cancelen cáncelenlo anulen anular llamen llámenme ayúdenme ayúdeme ayúdame
    dígame díganme envíenme envíeme mándenme mándeme devuélvanme póngame páseme pásame comuníqueme
    decepcionado molesto molesta enojado enojada agradece agradezco olvídalo olvide olvidé repite
    repita vengo vienen venga aceptan acepta acepten encender enciende prende apaga suena huele
    quema quemó quemé quemado humo incendió incendio golpe estafa estafaron robaron robo falso
    abogado demandar queja quejarme reclamo existencias garantía talla tallas artículo caja vacía
    pantalla pila batería vecino firma recoger recogerlo retirar ubicados ubicación domicilio
    enero febrero marzo abril mayo junio julio septiembre octubre noviembre diciembre lunes martes
    miércoles jueves viernes sábado domingo fin mediodía casi quizás quizá tal vez bastante
    suficiente entero lleno lleno abierto cerrado cita turista extranjero mudanza acabo acaba
    contraseñas correo celulares mensaje llamada llamadas hice hiciste hicieron puse pusieron
    dijeron dijo quise quiso supe pude pudo anda andan sigue sigo siguen llevo lleva tarde
    tardan""",
}

# Words of two or three of the languages, of computers and of shops, and sounds: as evidence they
# are worth nothing, whatever the examples say. Brazilians write all of these.
_NEUTRAL = """
    ok okay okey okk k nan pedido pedidos cancelar cancela boleto total produto
    email e-mail mail chat bot app site web link online offline status login logout password
    smartphone tv smart notebook tablet mouse gamer game wireless bluetooth wifi internet usb led
    air fryer black friday cyber monday white blue red green gold pink gray gift card cards voucher
    cashback cupom coupon pro max plus mini ultra prime premium basic standard light lite one
    series digital edition play station playstation xbox iphone android galaxy samsung apple google
    facebook instagram whatsapp zap whats tiktok youtube netflix spotify amazon uber ifood nubank
    visa mastercard kit box combo pack shampoo skincare fitness growth supplements protein whey
    body splash baby kids shopping center shop store express fast delivery motoboy free off sale
    tracking code qr token checkout timeout error request internal server not-found access
    denied failed failure declined invalid pending transit delivered try again later out for bad
    page loading update upgrade download upload backup feedback feed post story stories reels
    designer marketing influencer coach home office happy hour fake crush show top hit hey bye baby
    men man brother bro god oh ha haha hahaha hehe rs rsrs kk kkk uhum hum hmm ah eh ops wow
    pix cpf cnpj cep rg sms pdf net fax fone tel a e o real normal hotel menu taxi bar pizza
    """
NEUTRAL: frozenset[str] = frozenset(_NEUTRAL.split())

# Words that lean to a language without proving it, with the most they may count (natural log
# units). "no" is Spanish and English, and Portuguese for "in the"; the south of Brazil says
# "buenas"; `LAUGHTER` stands for "kkkk" and "rsrs", which only Brazilians write.
LEANING: Mapping[str, float] = {
    "no": 0.9,
    "si": 0.9,
    "se": 0.9,
    "factura": 0.9,
    "buenas": 0.9,
    LAUGHTER: 3.0,
}

# The Portuguese that a foreigner in Brazil learns first: no sign that the rest is a quotation.
PICKED_UP: frozenset[str] = frozenset(
    {"oi", "olá", "ola", "bom", "boa", "dia", "tarde", "noite", "tudo", "bem", "obrigado"}
    | {"obrigada", "favor", "tchau", "desculpe", "desculpa", "brasil"}
)

# First words of somebody who speaks another language; Brazilians write them for fun too, so they
# are worth a question and no more.
FOREIGN_GREETINGS: Mapping[str, str] = {
    "bonjour": "fr",
    "bonsoir": "fr",
    "salut": "fr",
    "hallo": "de",
    "guten tag": "de",
    "guten morgen": "de",
    "guten abend": "de",
    "buongiorno": "it",
    "buonasera": "it",
    "goedemorgen": "nl",
    "goedendag": "nl",
    "bon dia": "ca",
    "bună ziua": "ro",
    "buna ziua": "ro",
    "dzień dobry": "pl",
    "dzien dobry": "pl",
    "merhaba": "tr",
    "hej": "sv",
    "god dag": "da",
    "dobrý den": "cs",
    "jó napot": "hu",
    "selamat pagi": "id",
    "selamat siang": "id",
    "xin chào": "vi",
}

# Letters that neither a served language nor a Brazilian name has; a word with one is a sign too.
FOREIGN_LETTERS: Mapping[str, frozenset[str]] = {
    "de": frozenset("ß"),
    "pl": frozenset("łąęśżźćń"),
    "tr": frozenset("ığş"),
    "ro": frozenset("șțşţă"),
    "cs": frozenset("ěřů"),
    "hu": frozenset("őű"),
    "sv": frozenset("å"),
    "da": frozenset("øæ"),
    "vi": frozenset("đơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ"),
}

# Small words that hardly exist in Portuguese, Spanish or English. A sentence is called foreign only
# when it holds some of them: brands, codes and gibberish never do, and the particles of surnames
# ("von der", "van den", "della") are left out, since Brazilians have those.
FOREIGN: Mapping[str, str] = {
    "fr": """
    je j'ai j'aimerais j'attends j je suis vous nous il elle ils elles est-ce qu'est n'ai n'est
    n'a pas ne au aux une mon ma mes votre vos notre c'est où quand pourquoi comment
    combien avec sans pour dans chez sur mais très aussi bonjour bonsoir salut merci voudrais veux
    peux pouvez avez avoir être été fait quelqu'un s'il plaît svp commande colis livraison
    reçu parler parle parles parlez portugais cherche cherchons aidez m'aider m'aidez peut
    peuvent pouvons aujourd'hui hier demain perdu perdue ouvert ouverts ouverte fermé heure heures
    jour jours semaine semaines mois année jamais problème adresse numéro téléphone mot passe compte
    pourriez pouvez envoyer envoyez recevoir reçois donner savoir sais voir vois deux fois trois
    payé payer paiement carte argent rembourser annuler changer acheté achat magasin client
    livreur livrer attendre m'appelle d'accord désolé désolée français française anglais besoin
    reçu parler aider facture remboursement mes tes ses leur leurs notre nos vos tout tous toute
    rien jamais plus moins bien déjà ici là alors donc car si quel quelle quels quelles aucun
    avons ont sont étais était sera serait fais faire dois doit faut besoin produit déçu toujours
    encore depuis cette ce cet et qui quoi""",
    "de": """
    ich du er sie wir ihr mein meine meinen meiner mich mir dich ihnen ist sind bin war habe hat
    haben nicht kein keine und oder aber mit ohne für auf aus bei nach die das
    ein eine einen einem einer wo wann wie warum was wer welche kann können möchte will
    wurde wird werden würde hätte können könnte müssen muss soll sollte dass weil wenn ob als wie
    euch uns unser unsere ihre ihrem sein seine dieser diese dieses jemand niemand etwas nichts
    hier dort heute gestern morgen nur mehr viel ja nein doch also dann über unter vor bis um
    noch schon immer bitte danke hallo guten tag morgen brauche hilfe bestellung
    rechnung paket leider geld zurück sehr auch es lieferung fehlt meins kommt kam gekommen
    warte gewartet spreche sprechen sprichst portugiesisch deutsch englisch verstehe konto
    gesperrt passwort bezahlt zahlung karte kaputt falsch falsche richtig adresse ändern stornieren
    kaufen gekauft kaufe fahrer wochen tage tag monat uhr geöffnet geschlossen morgen abend guten
    gute tschüss entschuldigung vielen dank hilfe helfen enttäuscht""",
    "it": """
    il lo gli nel nella sono è ho hai abbiamo avete hanno non che
    chi cosa dove quando come perché quanto mio mia miei mie vostro questo questa con senza
    vorrei voglio posso potete può potrei parlare ricevuto arrivato arrivata ordine
    pacco spedizione rimborso aiuto bisogno grazie buongiorno buonasera salve ciao ancora sempre
    per ad alla alle al ci vi mi ti si in un' l' dell' all' nell' c'è cos'è
    siamo siete era erano sto sta stanno devo deve dobbiamo puoi riesco riesce fare fatto avere
    essere andare viene serve pagato fattura conto prodotto sabato oggi ieri domani adesso già mai
    niente nulla qualcuno tutto tutti ogni prego scusi per favore però quindi perche piu allora
    anche più molto un uno stata stato parlo parlate portoghese italiano inglese capisco domanda
    deluso rotto rotta sbagliato sbagliata mancante consegna consegnato corriere settimana settimane
    giorni giorno mese indirizzo numero cambiare annullare rimborsare soldi carta pagare pagamento
    dimenticato avete addebitato volte prego ricevere sapere chiamare inviare mandare due
    comprato acquistato negozio aperto chiuso orari aiutare aiutarmi entrare accedere dov'è""",
    "nl": """
    ik jij u wij zij mijn uw het een en of maar niet geen is zijn ben heb heeft hebben kan kunt
    kunnen wil wilt waar wanneer hoe waarom wat wie met voor op aan bij naar om
    graag iemand praten alstublieft bedankt hallo goedemorgen bestelling pakket gebleven aangekomen
    wordt worden werd was waren moet mag zou zal hebt heeft niets niemand iets alles hier daar
    vandaag gisteren morgen veel meer al dat dit die deze onze jullie hun kapot rekening sturen
    factuur over nog ook mij deze spreek portugees engels nederlands begrijp geld terug hulp
    nodig helpen betaald kaart wachtwoord inloggen week weken dag dagen adres wachten wacht""",
    "pl": """
    nie jest są mam moje mój moja mojej moim mnie mi się to że czy gdzie kiedy jak dlaczego co kto
    chcę chciałbym chciałabym mogę proszę dziękuję dzień dobry cześć witam pomocy pomoc
    zamówienie zamówieniem paczka paczki paczkę zwrot pieniędzy z ze na do od w po dla jeszcze
    był była było były będzie jestem jesteś mamy macie ma może możecie tylko już także też ale lub
    albo bo więc ten ta te tego tej tym który która które bardzo dzisiaj wczoraj jutro wszystko nic
    rozmawiać potrzebuję dostałem nadal mówię portugalsku polsku rozumiem pieniądze reklamacja
    konto hasło przesyłka kurier adres zapłaciłem zapłaciłam anulować zwrócić czekam tydzień""",
    "tr": """
    ben sen biz siz bir bu şu ve ile için değil var yok mı mi mu ne nerede nasıl neden zaman hangi
    çok daha en gibi kadar sonra önce şimdi bugün dün yarın her hiç bana beni benim sana size bize
    onu olan olarak oldu olmadı geldi gelecek alabilirim yapabilirim istemiyorum mısınız musunuz
    istiyorum edebilirim lütfen teşekkürler merhaba selam günler siparişim siparişimi sipariş
    paketim param iade iptal hala gelmedi yardım edin benim acaba sorum edilecek""",  # noqa: RUF001 - Turkish has an i without a dot
    "ca": """
    amb meva meu meus meves teva seva nostre vostre és són on quan quin quina perquè però també
    molt molta molts més menys aquest aquesta això aquí allà he has hem heu han rebut arribat
    arribarà arriba arribar comanda comandes paquet vull voldria necessito puc podeu podria parlar
    parlo parleu portuguès català ajuda ajudar gràcies mercès bon dia tarda nit diners tornar
    factura botiga encara ningú algú res tot tots avui ahir demà setmana dies adreça contrasenya
    si us plau què fer estic esteu cal tinc té teniu la el els les del dels al als una un i o ni
    no em et es ens us ho hi""",
    "ro": """
    este sunt suntem sunteți unde când cum de ce care cine cu fără pentru din în pe la și sau dar nu
    am ai are avem aveți au mea meu mei mele voastră noastră acest această comanda comandă coletul
    colet primit ajuns ajunge ajungă livrare livrarea bani banii înapoi vreau vrea doresc pot poate
    puteți vorbesc vorbi vorbiți portugheză română română înțeleg cineva nimeni nimic tot toate
    ajutor ajuta bună ziua seara dimineața mulțumesc vă rog salut parola cont factura anulez anulați
    nevoie mult foarte încă astăzi ieri mâine săptămâni zile""",
    "sv": """
    jag du han hon vi ni de min mitt mina din ditt er ert är var varit har hade inte ingen inget
    och eller men med utan för från till på av om när hur vad vem vilken kan kunde vill skulle ska
    måste behöver hjälp hjälpa beställning order paket fått kommit pengar tillbaka prata någon
    något fråga hej tack snälla talar svenska portugisiska förstår fortfarande vänta väntar idag
    igår imorgon vecka veckor dagar adress lösenord konto faktura leverans trasig fel avbeställa""",
    "da": """
    jeg du han hun vi min mit mine din dit er var har havde ikke ingen intet noget og eller men med
    uden for fra til på af om hvor hvornår hvordan hvad hvem kan kunne vil ville skal må brug hjælp
    hjælpe bestilling ordre pakke pakken fået kommet penge tilbage tale snakke nogen spørgsmål hej
    tak venligst taler dansk norsk portugisisk forstår stadig venter dag går uge uger dage adresse
    adgangskode konto faktura levering ødelagt forkert annullere jeg mangler trenger hjelp pengene
    bestillingen pakken hvorfor ikke""",
    "cs": """
    je jsem jsi jsme jste jsou byl byla bylo kde kdy jak proč kdo co který která můj moje moji mám
    máte má nemám není nejsem prosím děkuji dobrý den ahoj potřebuji pomoc objednávka objednávku
    objednávky balík balíček nepřišel přišel zásilka peníze zpět vrátit chci chtěl chtěla mluvit
    někým někdo nerozumím nemluvím portugalsky česky ještě už ale nebo protože také pro při""",
    "hu": """
    a az egy és vagy de nem igen van nincs vagyok hol mikor hogyan miért mi ki melyik rendelésem
    csomagom csomag rendelés megérkezett érkezik kérem köszönöm segítség segítsen szükségem
    szeretnék szeretném beszélni valakivel pénzemet vissza jó napot szia értem beszélek magyarul
    portugálul
    még már mert hogy meg""",
    "fi": """
    minä sinä hän me te en ei ole olen onko oli missä milloin miten miksi kuka mikä tilaukseni
    tilaus paketti pakettini saapunut tullut haluan haluaisin tarvitsen apua puhua jonkun kanssa
    kiitos hei terve ymmärrä puhu suomea portugalia rahat takaisin vielä mutta tai ja kun että""",
    "id": """
    saya aku kamu anda dia kami kita mereka ini itu yang dan atau tetapi tidak bukan belum sudah
    akan bisa dapat mau ingin perlu butuh dimana mana kapan bagaimana mengapa kenapa siapa apa
    pesanan paket barang sampai tiba kirim dikirim uang kembali bantuan tolong terima kasih selamat
    pagi siang malam berbicara bicara dengan seseorang dari untuk ke di masih""",
    "vi": """
    tôi bạn anh chị của ở đâu là không có chưa nhận được hàng đơn cần giúp đỡ muốn nói chuyện với
    khi nào tiền lại xin chào cảm ơn ơn vui lòng và hoặc nhưng""",
}
