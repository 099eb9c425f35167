"""Names of countries and of the states of the United States and Canada → their codes.

A name is looked up by its letters alone: `key_of("Côte d'Ivoire")` is `cotedivoire`. The countries were
generated from ISO 3166-1 (names, official names and alpha-3 codes as pycountry 26.2 has them) and the
English names of the Unicode CLDR (as Babel 2.18 has them), each with `&` read as "and", "St." as "Saint" and
back, and without what stands in brackets; a few dozen names in common use that neither list has (UK, Ivory
Coast, Czech Republic, South Korea) were added by hand. Parts of countries, such as England, have no code and
are not here.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

_NOT_LETTERS: Final = re.compile(r"[^a-z]+")


def key_of(name: str) -> str:
    """The letters a to z of a name, in lower case and without accents."""
    return "".join(words_of(name))


def words_of(name: str) -> list[str]:
    """The name's words of letters a to z, in lower case and without accents."""
    decomposed = unicodedata.normalize("NFKD", name).lower()
    letters = "".join(character for character in decomposed if not unicodedata.combining(character))
    return [word for word in _NOT_LETTERS.split(letters) if word]


def country_code(name: str) -> str | None:
    """The ISO 3166-1 alpha-2 code, in lower case, of a code or an English name; None where there is none."""
    key = key_of(name)
    return COUNTRIES.get(key) or COUNTRIES.get(key.removeprefix("the"))


def table(lines: str) -> dict[str, str]:
    """`code name name …` → {name: code}, the code itself included; an indented line continues the last."""
    codes: dict[str, str] = {}
    for line in lines.replace("\n  ", " ").splitlines():
        code = line.split()[0]
        for name in line.split():
            if codes.setdefault(name, code) != code:
                raise ValueError(f"{name} is in the table twice")
    return codes


# code, alpha-3, names
COUNTRIES: Final[Mapping[str, str]] = table("""\
ad and andorra principalityofandorra
ae are uae unitedarabemirates
af afg afghanistan islamicrepublicofafghanistan
ag atg antiguaandbarbuda antiguabarbuda
ai aia anguilla
al alb albania republicofalbania
am arm armenia republicofarmenia
ao ago angola republicofangola
aq ata antarctica
ar arg argentina argentinerepublic
as asm americansamoa
at aut austria republicofaustria
au aus australia
aw abw aruba
ax ala aland alandislands
az aze azerbaijan republicofazerbaijan
ba bih bosnia bosniaandherzegovina bosniaherzegovina republicofbosniaandherzegovina
bb brb barbados
bd bgd bangladesh peoplesrepublicofbangladesh
be bel belgium kingdomofbelgium
bf bfa burkinafaso
bg bgr bulgaria republicofbulgaria
bh bhr bahrain kingdomofbahrain
bi bdi burundi republicofburundi
bj ben benin republicofbenin
bl blm saintbarthelemy saintbarts stbarthelemy
bm bmu bermuda
bn brn brunei bruneidarussalam
bo bol bolivia boliviaplurinationalstateof plurinationalstateofbolivia
bq bes bonairesinteustatinsandsaba bonairesinteustatiusandsaba caribbeannetherlands
  sinteustatiusandsababonaire
br bra brazil federativerepublicofbrazil
bs bhs bahamas commonwealthofthebahamas
bt btn bhutan kingdomofbhutan
bv bvt bouvetisland
bw bwa botswana republicofbotswana
by blr belarus republicofbelarus
bz blz belize
ca can canada
cc cck cocosislands cocoskeelingislands keelingislands
cd cod congodemocraticrepublicofthe congodr congokinshasa congothedemocraticrepublicofthe
  democraticrepublicofcongo democraticrepublicofthecongo drc drcongo
cf caf centralafricanrepublic
cg cog congo congobrazzaville congorepublic republicofcongo republicofthecongo
ch che swissconfederation switzerland
ci civ cotedivoire ivorycoast republicofcotedivoire
ck cok cookislands
cl chl chile republicofchile
cm cmr cameroon republicofcameroon
cn chn china peoplesrepublicofchina prc
co col colombia republicofcolombia
cr cri costarica republicofcostarica
cu cub cuba republicofcuba
cv cpv caboverde capeverde republicofcaboverde
cw cuw curacao
cx cxr christmasisland
cy cyp cyprus republicofcyprus
cz cze czechia czechrepublic
de deu federalrepublicofgermany germany
dj dji djibouti republicofdjibouti
dk dnk denmark kingdomofdenmark
dm dma commonwealthofdominica dominica
do dom dominicanrepublic
dz dza algeria peoplesdemocraticrepublicofalgeria
ec ecu ecuador republicofecuador
ee est estonia republicofestonia
eg egy arabrepublicofegypt egypt
eh esh westernsahara
er eri eritrea stateoferitrea
es esp kingdomofspain spain
et eth ethiopia federaldemocraticrepublicofethiopia
fi fin finland republicoffinland
fj fji fiji republicoffiji
fk flk falklandislands falklandislandsmalvinas falklands malvinas
fm fsm federatedstatesofmicronesia micronesia micronesiafederatedstatesof
fo fro faroeislands
fr fra france frenchrepublic
ga gab gabon gaboneserepublic
gb gbr britain greatbritain uk unitedkingdom unitedkingdomofgreatbritainandnorthernireland unitedkingdomuk
gd grd grenada
ge geo georgia
gf guf frenchguiana
gg ggy guernsey
gh gha ghana republicofghana
gi gib gibraltar
gl grl greenland
gm gmb gambia republicofthegambia
gn gin guinea republicofguinea
gp glp guadeloupe
gq gnq equatorialguinea republicofequatorialguinea
gr grc greece hellenicrepublic
gs sgs southgeorgiaandsouthsandwichislands southgeorgiaandthesouthsandwichislands
  southgeorgiasouthsandwichislands
gt gtm guatemala republicofguatemala
gu gum guam
gw gnb guineabissau republicofguineabissau
gy guy guyana republicofguyana
hk hkg hongkong hongkongsar hongkongsarchina hongkongspecialadministrativeregionofchina
hm hmd heardandmcdonaldislands heardislandandmcdonaldislands heardmcdonaldislands
hn hnd honduras republicofhonduras
hr hrv croatia republicofcroatia
ht hti haiti republicofhaiti
hu hun hungary
id idn indonesia republicofindonesia
ie irl ireland
il isr israel stateofisrael
im imn isleofman
in ind india republicofindia
io iot britishindianoceanterritory
iq irq iraq republicofiraq
ir irn iran iranislamicrepublicof islamicrepublicofiran
is isl iceland republicoficeland
it ita italianrepublic italy
je jey jersey
jm jam jamaica
jo jor hashemitekingdomofjordan jordan
jp jpn japan
ke ken kenya republicofkenya
kg kgz kyrgyzrepublic kyrgyzstan
kh khm cambodia kingdomofcambodia
ki kir kiribati republicofkiribati
km com comoroislands comoros unionofthecomoros
kn kna saintkittsandnevis saintkittsnevis stkittsandnevis stkittsnevis
kp prk democraticpeoplesrepublicofkorea dprk koreademocraticpeoplesrepublicof koreanorth northkorea
kr kor korea korearepublicof koreasouth republicofkorea rok southkorea
kw kwt kuwait stateofkuwait
ky cym caymanislands
kz kaz kazakhstan republicofkazakhstan
la lao laopeoplesdemocraticrepublic laos
lb lbn lebaneserepublic lebanon
lc lca saintlucia stlucia
li lie liechtenstein principalityofliechtenstein
lk lka democraticsocialistrepublicofsrilanka srilanka
lr lbr liberia republicofliberia
ls lso kingdomoflesotho lesotho
lt ltu lithuania republicoflithuania
lu lux grandduchyofluxembourg luxembourg
lv lva latvia republicoflatvia
ly lby libya libyanarabjamahiriya
ma mar kingdomofmorocco morocco
mc mco monaco principalityofmonaco
md mda moldova moldovarepublicof republicofmoldova
me mne montenegro
mf maf saintmartin saintmartinfrenchpart stmartin stmartinfrenchpart
mg mdg madagascar republicofmadagascar
mh mhl marshallislands republicofthemarshallislands
mk mkd formeryugoslavrepublicofmacedonia fyrom macedonia macedoniatheformeryugoslavrepublicof northmacedonia
  republicofmacedonia republicofnorthmacedonia
ml mli mali republicofmali
mm mmr burma myanmar myanmarburma republicofmyanmar
mn mng mongolia
mo mac macao macaosar macaosarchina macaospecialadministrativeregionofchina macau macausar
mp mnp commonwealthofthenorthernmarianaislands northernmarianaislands
mq mtq martinique
mr mrt islamicrepublicofmauritania mauritania
ms msr montserrat
mt mlt malta republicofmalta
mu mus mauritius republicofmauritius
mv mdv maldives republicofmaldives
mw mwi malawi republicofmalawi
mx mex mexico unitedmexicanstates
my mys malaysia
mz moz mozambique republicofmozambique
na nam namibia republicofnamibia
nc ncl newcaledonia
ne ner niger republicoftheniger
nf nfk norfolkisland
ng nga federalrepublicofnigeria nigeria
ni nic nicaragua republicofnicaragua
nl nld kingdomofthenetherlands netherlands
no nor kingdomofnorway norway
np npl federaldemocraticrepublicofnepal nepal
nr nru nauru republicofnauru
nu niu niue
nz nzl newzealand
om omn oman sultanateofoman
pa pan panama republicofpanama
pe per peru republicofperu
pf pyf frenchpolynesia
pg png independentstateofpapuanewguinea papuanewguinea
ph phl philippines republicofthephilippines
pk pak islamicrepublicofpakistan pakistan
pl pol poland republicofpoland
pm spm saintpierreandmiquelon saintpierremiquelon stpierre stpierreandmiquelon stpierremiquelon
pn pcn pitcairn pitcairnislands
pr pri puertorico
ps pse palestine palestinestateof palestinianterritories stateofpalestine
pt prt portugal portugueserepublic
pw plw palau republicofpalau
py pry paraguay republicofparaguay
qa qat qatar stateofqatar
re reu reunion
ro rou romania
rs srb republicofserbia serbia
ru rus russia russianfederation
rw rwa rwanda rwandeserepublic
sa sau kingdomofsaudiarabia saudiarabia
sb slb solomonislands
sc syc republicofseychelles seychelles
sd sdn republicofthesudan sudan
se swe kingdomofsweden sweden
sg sgp republicofsingapore singapore
sh shn ascensionandtristandacunhasainthelena sainthelena sainthelenaascensionandtristandacunha sthelena
  sthelenaascensionandtristandacunha
si svn republicofslovenia slovenia
sj sjm svalbardandjanmayen svalbardjanmayen
sk svk slovakia slovakrepublic
sl sle republicofsierraleone sierraleone
sm smr republicofsanmarino sanmarino
sn sen republicofsenegal senegal
so som federalrepublicofsomalia somalia
sr sur republicofsuriname suriname
ss ssd republicofsouthsudan southsudan
st stp democraticrepublicofsaotomeandprincipe saotomeandprincipe saotomeprincipe
sv slv elsalvador republicofelsalvador
sx sxm saintmaarten sintmaarten sintmaartenductchpart sintmaartendutchpart stmaarten
sy syr syria syrianarabrepublic
sz swz eswatini kingdomofeswatini swaziland
tc tca turksandcaicos turksandcaicosislands turkscaicosislands
td tcd chad republicofchad
tf atf frenchsouthernterritories
tg tgo togo togoleserepublic
th tha kingdomofthailand thailand
tj tjk republicoftajikistan tajikistan
tk tkl tokelau
tl tls democraticrepublicoftimorleste easttimor timorleste
tm tkm turkmenistan
tn tun republicoftunisia tunisia
to ton kingdomoftonga tonga
tr tur republicofturkiye turkey turkiye
tt tto republicoftrinidadandtobago trinidadandtobago trinidadtobago
tv tuv tuvalu
tw twn provinceofchinataiwan taiwan taiwanprovinceofchina taiwanrepublicofchina
tz tza tanzania tanzaniaunitedrepublicof unitedrepublicoftanzania
ua ukr ukraine
ug uga republicofuganda uganda
um umi unitedstatesminoroutlyingislands usoutlyingislands
us usa unitedstates unitedstatesofamerica unitedstatesofamericausa unitedstatesus
uy ury easternrepublicofuruguay uruguay
uz uzb republicofuzbekistan uzbekistan
va vat holysee holyseevaticancitystate vatican vaticancity vaticancitystate
vc vct saintvincentandgrenadines saintvincentandthegrenadines saintvincentgrenadines stvincentandgrenadines
  stvincentandthegrenadines stvincentgrenadines
ve ven bolivarianrepublicofvenezuela venezuela venezuelabolivarianrepublicof
vg vgb britishvirginislands bvi virginislandsbritish
vi vir unitedstatesvirginislands usvi usvirginislands virginislandsoftheunitedstates virginislandsus
vn vnm socialistrepublicofvietnam vietnam
vu vut republicofvanuatu vanuatu
wf wlf wallisandfutuna wallisfutuna
ws wsm independentstateofsamoa samoa
ye yem republicofyemen yemen
yt myt mayotte
za zaf republicofsouthafrica southafrica
zm zmb republicofzambia zambia
zw zwe republicofzimbabwe zimbabwe
""")

# The states, the capital, the territories and the armed forces' mail, by the codes of the postal service.
US_STATES: Final[Mapping[str, str]] = table("""\
al alabama
ak alaska
az arizona
ar arkansas
ca california
co colorado
ct connecticut
de delaware
dc districtofcolumbia washingtondc
fl florida
ga georgia
hi hawaii
id idaho
il illinois
in indiana
ia iowa
ks kansas
ky kentucky
la louisiana
me maine
md maryland
ma massachusetts
mi michigan
mn minnesota
ms mississippi
mo missouri
mt montana
ne nebraska
nv nevada
nh newhampshire
nj newjersey
nm newmexico
ny newyork
nc northcarolina
nd northdakota
oh ohio
ok oklahoma
or oregon
pa pennsylvania
ri rhodeisland
sc southcarolina
sd southdakota
tn tennessee
tx texas
ut utah
vt vermont
va virginia
wa washington
wv westvirginia
wi wisconsin
wy wyoming
as americansamoa
gu guam
mp northernmarianaislands
pr puertorico
vi usvirginislands unitedstatesvirginislands virginislandsus virginislandsoftheunitedstates
aa armedforcesamericas
ae armedforceseurope
ap armedforcespacific
""")

CA_PROVINCES: Final[Mapping[str, str]] = table("""\
ab alberta
bc britishcolumbia
mb manitoba
nb newbrunswick
nl newfoundlandandlabrador newfoundlandlabrador newfoundland
nt northwestterritories
ns novascotia
nu nunavut
on ontario
pe princeedwardisland
qc quebec
sk saskatchewan
yt yukon
""")

# Regions of other countries whose names contain a state's as a word; from ISO 3166-2, all countries.
NAMESAKES: Final = frozenset({"bajacalifornia", "bajacaliforniasur", "maineetloire"})
